"""The training data: slices, labels and the groups that must not be split."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor
from torchvision.transforms import v2

from lungct.errors import LungCTError
from lungct.gate.body import SIDE, outline
from lungct.model.preprocess import to_input
from lungct.pixels.image import decode
from lungct.settings import Settings
from lungct.window import LUNG
from lungct_tools.modelling.lookalikes import correlate_slices, group_slices

CLASSES = ("Benign", "Malignant", "Normal")
TABLE, DATASET = "cases.csv", "iq_othnccd"
FILE, LABEL, CASE = "file", "label", "pseudo_case"  # columns of TABLE


@dataclass(frozen=True)
class Cases:
    """Labelled slices.

    Attributes:
        files: N paths relative to the data folder.
        labels: (N,) int64, index into CLASSES.
        groups: (N,) int64 case numbers; slices of one case never fall on both sides of a split.
        slices: N arrays (H, W) uint8 at the lung window.
        given: whether the table names the cases; otherwise they follow from look-alikes.
    """

    files: list[str]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    slices: list[npt.NDArray[np.uint8]]
    given: bool = True

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
    raise ValueError(f"{folder} has no {TABLE}; see docs/training.md.")


def read_cases(folder: Path) -> Cases:
    """Read `folder`/cases.csv (columns file, label, pseudo_case) and the images it names.

    `folder` may also be the one above, with the data set in `iq_othnccd`. Without the column pseudo_case, which needs
    patient ids or somebody's judgement, cases are what `group_slices` makes of the slices.

    Raises:
        ValueError: there is no cases.csv, it cannot be used, or the server would refuse an image.
    """
    path = find_table(folder)
    table = read_table(path)
    files = [row[FILE] for row in table]
    labels = np.array([[name.lower() for name in CLASSES].index(row[LABEL]) for row in table])
    slices = [read_slice(path.parent / file) for file in track(files, "Reading slices")]
    if CASE in table[0]:
        return Cases(files, labels, np.array([int(row[CASE]) for row in table]), slices)
    return Cases(files, labels, group_slices(correlate_slices(slices), files, labels), slices, given=False)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of cases.csv; ValueError if there are none, a cell is missing, or a label or case is not to be used."""
    with path.open(newline="") as stream:
        table = list(csv.DictReader(stream))
    if not table:
        raise ValueError(f"{TABLE} has no rows.")
    if missing := [column for column in (FILE, LABEL) if not all(row.get(column) for row in table)]:
        raise ValueError(f"{TABLE} needs {' and '.join(missing)} in every row.")
    names = [name.lower() for name in CLASSES]
    if unknown := {row[LABEL] for row in table} - set(names):
        raise ValueError(f"{TABLE} has labels {sorted(unknown)}; known are {names}.")
    if CASE in table[0] and not all((row[CASE] or "").strip().isdecimal() for row in table):
        raise ValueError(f"{TABLE} needs a number as {CASE} in every row; leave the column out if cases are not known.")
    return table


def write_table(path: Path, cases: Cases) -> None:
    """Write what `read_table` reads."""
    with path.open("w", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow([FILE, LABEL, CASE])
        labels = [CLASSES[label].lower() for label in cases.labels]
        table.writerows(zip(cases.files, labels, cases.groups.tolist(), strict=True))


def read_slice(path: Path) -> npt.NDArray[np.uint8]:
    """(H, W) uint8 of an image, by the server's decoder: training sees the pixels that serving will see."""
    try:
        return decode(path.read_bytes(), None, None, LUNG, Settings()).pixels
    except LungCTError as error:
        raise ValueError(f"{path.name}: {error.message}") from error


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


def augmentation(size: int, jitter: float, noise: float = 0.0, blur: float = 0.0) -> v2.Transform:
    """Random views of a (1, S', S') uint8 slice as (1, size, size): what position, scanner, window and dose may change.

    Args:
        jitter: share by which brightness and contrast change.
        noise: standard deviation, in shares of 255.
        blur: half of the slices are smoothed by a Gaussian of at most so many pixels of S', and a quarter sharpened, as
            soft and hard kernels of reconstruction do.
    """
    return v2.Compose(
        [
            v2.RandomChoice([_smooth(blur), v2.RandomAdjustSharpness(2.0)]) if blur else v2.Identity(),
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


def _smooth(most: float) -> v2.Transform:
    return v2.GaussianBlur(2 * math.ceil(3 * most) + 1, sigma=(most / 10, most))


def draw_balanced(
    labels: Tensor, rows: Tensor, batch: int, power: float, groups: Tensor | None = None
) -> Iterator[Tensor]:
    """One epoch of row batches; a class of n slices is drawn in proportion to n ** (1 - power): 1 draws all equally.

    With the case of each slice as `groups` (N,), the cases of a class are drawn as often as each other, however many
    slices they have.
    """
    counts = torch.bincount(labels[rows]).double()
    weights = counts[labels[rows]] ** -power
    if groups is not None:
        owners = torch.stack([labels[rows], groups[rows]])
        known, owner, sizes = torch.unique(owners, dim=1, return_inverse=True, return_counts=True)
        mean = counts / torch.bincount(known[0])  # slices of a case, in each class
        weights *= mean[labels[rows]] / sizes[owner]
    order = torch.multinomial(weights, len(rows) // batch * batch, replacement=True)
    yield from rows[order].split(batch)
