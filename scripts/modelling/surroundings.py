"""What a classifier can read off the air, table and field of view around a body: nothing of it is disease."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lungct.gate.body import SIDE, outline
from lungct.model.network import LungResNet18
from lungct.model.preprocess import to_input
from lungct.window import LUNG
from lungct_tools.modelling.dataset import Cases
from lungct_tools.modelling.evidence import SIZE, explain
from lungct_tools.modelling.intervals import bound_scores
from lungct_tools.modelling.metrics import measure, select_classes, softmax

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

AS_IS, BLANKED, SWAPPED = "as they are", "air around the body", "surroundings of another class"
MARGIN = 2  # cells of the body's outline, 8 pixels of the input: skin and clothes belong to the body


def find_surroundings(pixels: Bytes) -> Flags:
    """Where a network input (1, S, S) is outside the body and a margin around it, (S, S); nowhere without a body."""
    body = outline(pixels)
    if body is None:
        return np.zeros(pixels.shape[1:], bool)
    grown = cv2.dilate(body.mask.astype(np.uint8), np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8))
    return np.kron(grown == 0, np.ones((pixels.shape[1] // SIDE, pixels.shape[2] // SIDE), bool))


def count_outside_levels(cases: Cases) -> Floats:
    """(N, 64) share of each band of four gray levels among the pixels outside the body, however many they are.

    What was padded to make a slice square is left out: it would tell its shape.
    """
    levels = np.zeros((len(cases.labels), 64))
    for row, pixels in enumerate(cases.inputs(np.arange(len(cases.labels)), SIZE)):
        outside = pixels[0][find_surroundings(pixels) & find_content(cases.slices[row].shape)]
        levels[row] = np.histogram(outside, 64, (0, 256))[0] / max(1, outside.size)
    return levels


def find_content(shape: tuple[int, ...]) -> Flags:
    """(SIZE, SIZE) where a slice of `shape` (H, W) is in its network input, the rest being padding."""
    inside: Any = to_input(np.full(shape, 255, np.uint8), SIZE, "pad", 0)[0] == 255
    return inside


def blank(pixels: Bytes) -> Bytes:
    """A network input (1, S, S) with nothing but air around the body."""
    return np.where(find_surroundings(pixels), np.uint8(LUNG.air), pixels)


def swap(pixels: Bytes, other: Bytes) -> Bytes:
    """`pixels` (1, S, S) with the surroundings of `other`; air where the other one has its body."""
    around = np.where(find_surroundings(other), other, np.uint8(LUNG.air))
    return np.where(find_surroundings(pixels), around, pixels)


def measure_surroundings(
    network: LungResNet18, temperature: float, cases: Cases, rows: Ints, seed: int = 0
) -> dict[str, Any]:
    """Scores on `rows` as they are, with the surroundings blanked, and with those of a slice of another class.

    With intervals by case, see `bound_scores`.
    """
    inputs, labels, groups = cases.inputs(rows, SIZE), cases.labels[rows], cases.groups[rows]
    rng = np.random.default_rng(seed)
    partners = [rng.choice(np.flatnonzero(labels != label)) for label in labels]
    changed = {
        AS_IS: inputs,
        BLANKED: np.stack([blank(pixels) for pixels in inputs]),
        SWAPPED: np.stack([swap(p, inputs[o]) for p, o in zip(inputs, partners, strict=True)]),
    }
    answers = {
        name: softmax(explain(network, some).logits.double().numpy(), temperature) for name, some in changed.items()
    }
    return {
        name: bound_scores(lambda some, p=p: measure(p[some], labels[some]), groups, select_classes(labels))
        for name, p in answers.items()
    }
