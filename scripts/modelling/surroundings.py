"""What a classifier can read off the air, table and field of view around a body: nothing of it is disease."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lungct.gate.body import SIDE, outline
from lungct.model.preprocess import to_input
from lungct_tools.modelling.dataset import Cases

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

SIZE = 224
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
