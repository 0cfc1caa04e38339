"""The real slices that a model is judged on: where each is from, what is known of it, and whether training saw it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lungct_tools.modelling.dataset import MALIGNANT, NORMAL, Cases, find_table
from lungct_tools.modelling.decision import is_calibrating
from lungct_tools.modelling.pasting.backgrounds import is_kept_out, name_case, name_patient

FAR_MM = 20.0  # from the nearest slice with a box: nothing of the tumour is left


class Box(NamedTuple):
    """A reader's box round a tumour, in pixels of the slice; x to the right, y down, ends outside."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Known:
    """One slice file and what is known of it.

    Attributes:
        source: the collection that it is from.
        group: patient, or case, by source: what intervals draw.
        label: index in CLASSES; -1 where the slice is neither sure to hold disease nor sure to hold none.
        seen: whether training saw this slice or another one of its group.
        box: where the tumour is, if somebody drew it.
        series: that it is of; "" where that is not known.
        nodule: whether a reader marked a nodule of 3 mm and more.
    """

    path: Path
    source: str
    group: str
    label: int
    seen: bool = False
    box: Box | None = None
    series: str = ""
    nodule: bool = False


def sets_limits(known: Known) -> bool:
    """Whether an unseen slice has a part in the limits of what is reported: half of the cases of the labelled data."""
    return known.source == "iq" and is_calibrating(known.group)


def read_labelled(data: Path, cases: Cases) -> list[Known]:
    """Slices of a cases.csv; only the normal ones of cases that are not kept out are trained on."""
    folder = find_table(data).parent
    found = []
    for file, label, case in zip(cases.files, cases.labels, cases.groups, strict=True):
        group = name_case(int(case))
        seen = bool(label == NORMAL) and not is_kept_out(group)
        found.append(Known(folder / file, group.split(":")[0], group, int(label), seen))
    return found


def read_clear(folder: Path) -> list[Known]:
    """Nodule-free slices of other scanners, all of them trained on."""
    rows = read_rows(folder / "slices.csv")
    return [Known(folder / row["file"], "clear", name_patient(row), NORMAL, seen=True) for row in rows]


def read_boxed(folder: Path) -> list[Known]:
    """Series with boxes round a tumour: slices with a box Malignant, those FAR_MM and more away Normal, others -1."""
    rows = read_rows(folder / "slices.csv")
    boxed = [(row["series"], float(row["z_mm"])) for row in rows if row["x0"]]
    found = []
    for row in rows:
        z = float(row["z_mm"])
        near = min((abs(z - at) for series, at in boxed if series == row["series"]), default=FAR_MM)
        box = Box(*(float(row[key]) for key in ("x0", "y0", "x1", "y1"))) if row["x0"] else None
        label = MALIGNANT if box else NORMAL if near >= FAR_MM else -1
        path = folder / row["file"]
        found.append(Known(path, folder.name, folder.name, label, box=box, series=row["series"]))
    return found


def read_series(folder: Path, table: Path) -> list[Known]:
    """DICOM slices of one series, by a table that says which of them hold a nodule."""
    rows = read_rows(table)
    return [
        Known(folder / row["file"], folder.name, folder.name, -1 if holds(row) else NORMAL, nodule=holds(row))
        for row in rows
    ]


def holds(row: dict[str, str]) -> bool:
    """Whether a row of a series' table says that its slice holds a nodule."""
    return row["nodule"].strip().lower() in ("1", "true", "yes")


def read_rows(table: Path) -> list[dict[str, str]]:
    """The rows of a table."""
    with table.open(newline="") as stream:
        return list(csv.DictReader(stream))


def read_sources(data: Path, cases: Cases) -> list[Known]:
    """Every source that is under `data`; one that is not there is left out, but for cases.csv."""
    readers: dict[str, Callable[[], list[Known]]] = {
        "lidc_clear": lambda: read_clear(data / "lidc_clear"),
        "lungdx_a0001": lambda: read_boxed(data / "lungdx_a0001"),
        "lidc_0001.csv": lambda: read_series(data / "dicom" / "lidc_0001", data / "lidc_0001.csv"),
    }
    there = [read() for name, read in readers.items() if (data / name).exists()]
    return [*read_labelled(data, cases), *(known for found in there for known in found)]
