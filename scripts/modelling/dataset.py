"""The training data: slices, labels and the groups that must not be split."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from lungct.body import SIDE, outline
from lungct.preprocess import to_input
from lungct.window import LUNG
from PIL import Image
from rich.progress import track
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor
from torchvision.transforms import v2

CLASSES = ("Benign", "Malignant", "Normal")
TABLE, DATASET = "cases.csv", "iq_othnccd"


@dataclass(frozen=True)
class Cases:
    """Labelled slices.

    Attributes:
        files: N paths relative to the data folder.
        labels: (N,) int64, index into CLASSES.
        groups: (N,) int64 case numbers; slices of one case never fall on both sides of a split.
        slices: N arrays (H, W) uint8 at the lung window.
    """

    files: list[str]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    slices: list[npt.NDArray[np.uint8]]

    def inputs(self, rows: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.uint8]:
        """(len(rows), 1, size, size) uint8, prepared as the server does it."""
        return np.stack([to_input(self.slices[i], size, "pad", LUNG.air) for i in rows])

    def crop_to_lungs(self) -> Cases:
        """The same cases, each slice cut to the box of its lungs; whole where none are found."""
        return replace(self, slices=[crop_to_lungs(pixels) for pixels in track(self.slices, "Finding lungs")])


def find_table(folder: Path) -> Path:
    """cases.csv in `folder` or in its `iq_othnccd`; ValueError if it is in neither."""
    for path in (folder / TABLE, folder / DATASET / TABLE):
        if path.is_file():
            return path
    raise ValueError(f"{folder} has no {TABLE}; see README, 'The model'.")


def read_cases(folder: Path) -> Cases:
    """Read `folder`/cases.csv (columns file, label, pseudo_case) and its 8-bit gray images.

    `folder` may also be the one above, with the data set in `iq_othnccd`.

    Raises:
        ValueError: there is no cases.csv, a label is none of CLASSES, or the table is empty.
    """
    path = find_table(folder)
    with path.open(newline="") as stream:
        table = list(csv.DictReader(stream))
    names = [name.lower() for name in CLASSES]
    if unknown := {row["label"] for row in table} - set(names):
        raise ValueError(f"cases.csv has labels {sorted(unknown)}; known are {names}.")
    if not table:
        raise ValueError("cases.csv has no rows.")
    slices = [np.asarray(Image.open(path.parent / row["file"]).convert("L")) for row in track(table, "Reading slices")]
    return Cases(
        files=[row["file"] for row in table],
        labels=np.array([names.index(row["label"]) for row in table]),
        groups=np.array([int(row["pseudo_case"]) for row in table]),
        slices=slices,
    )


def split_by_case(cases: Cases, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """(N,) fold number of each slice; stratified by class, no case in two folds."""
    assignment = np.empty(len(cases.labels), np.int64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, rows) in enumerate(splitter.split(cases.labels, cases.labels, cases.groups)):
        assignment[rows] = fold
    return assignment


def crop_to_lungs(pixels: npt.NDArray[np.uint8], margin: float = 0.03) -> npt.NDArray[np.uint8]:
    """(H, W) uint8 -> the box around the air that the body encloses, with a margin: a share of the longer side."""
    side = max(pixels.shape)
    square = to_input(pixels, side, "pad", LUNG.air)
    body = outline(square)
    if body is None or not body.lungs.any():
        return pixels
    box = []
    for axis in (1, 0):
        inside = np.flatnonzero(body.lungs.any(axis))
        first, last = inside[0] / SIDE - margin, (inside[-1] + 1) / SIDE + margin
        box.append(slice(max(0, round(first * side)), min(side, round(last * side))))
    return square[0][tuple(box)]


def augmentation(size: int, jitter: float, noise: float = 0.0) -> v2.Transform:
    """Random views of a (1, S', S') uint8 slice as (1, size, size): what position, scanner, window and dose may change.

    Args: `jitter` share by which brightness and contrast change, `noise` standard deviation, in shares of 255.
    """
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(0.25),
            v2.RandomAffine(
                12, translate=(0.05, 0.05), shear=4, interpolation=v2.InterpolationMode.BILINEAR, fill=LUNG.air
            ),
            v2.RandomResizedCrop(size, scale=(0.7, 1.0), ratio=(0.85, 1.18), antialias=True),
            v2.ColorJitter(brightness=jitter, contrast=jitter),
            v2.GaussianNoise(sigma=noise) if noise else v2.Identity(),
        ]
    )


def draw_balanced(labels: Tensor, rows: Tensor, batch: int, power: float) -> Iterator[Tensor]:
    """One epoch of row batches; a class of n slices is drawn in proportion to n ** (1 - power): 1 draws all equally."""
    counts = torch.bincount(labels[rows]).double()
    weights = counts[labels[rows]] ** -power
    order = torch.multinomial(weights, len(rows) // batch * batch, replacement=True)
    yield from rows[order].split(batch)
