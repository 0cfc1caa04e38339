"""A labelled data set: slices, labels and the groups that must not be split."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track
from sklearn.model_selection import StratifiedGroupKFold

from lungct.errors import LungCTError
from lungct.model.preprocess import to_input
from lungct.pixels.image import decode
from lungct.settings import Settings
from lungct.window import LUNG
from lungct_tools.modelling.lookalikes import correlate_slices, group_slices

CLASSES = ("Benign", "Malignant", "Normal")
BENIGN, MALIGNANT, NORMAL = range(3)
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
    """(H, W) uint8 of an image in square pixels, by the server's decoder: training sees what serving will see."""
    try:
        found = decode(path.read_bytes(), None, None, LUNG, Settings())
    except LungCTError as error:
        raise ValueError(f"{path.name}: {error.message}") from error
    if found.resampled is None:
        return found.pixels
    return np.asarray(Image.fromarray(found.pixels).resize(found.resampled[::-1], Image.Resampling.BILINEAR))


def split_by_case(cases: Cases, folds: int, seed: int) -> npt.NDArray[np.int64]:
    """(N,) fold number of each slice; stratified by class, no case in two folds."""
    assignment = np.empty(len(cases.labels), np.int64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, rows) in enumerate(splitter.split(cases.labels, cases.labels, cases.groups)):
        assignment[rows] = fold
    return assignment
