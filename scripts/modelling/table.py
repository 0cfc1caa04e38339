"""What a model was meant to reach, and whether it does: the table of the card."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

PASTED = "pasted, unseen patients and backgrounds"
BOXED = "real, another scanner, one patient: lungdx_a0001"
SERIES = "real, another scanner, one patient: lidc_0001"
LABELLED = "IQ-OTH/NCCD, cases that training did not see"
CUTS = "the same cases, their normal slices"
DRAWN = "drawn phantoms"
REPORTED = "real slices that set nothing and were not trained on, all sources"


class Row(NamedTuple):
    """One line of the table: on what, what is measured, wanted, reached, and whether that is met."""

    judged_on: str
    measure: str
    wanted: str
    reached: str
    met: bool


def show(value: float | None, percent: bool = False, interval: list[float] | None = None) -> str:
    """A number as people read it, with its interval."""
    if value is None or value != value:
        return "none"
    if interval:
        low, high = (show(end, percent) for end in interval)
        return f"{show(value, percent)} ({low} to {high})"
    return f"{value:.0%}" if percent else f"{value:.2f}"


def at_least(limit: float, value: float | None) -> bool:
    """Whether a number is there and reaches `limit`."""
    return value is not None and value >= limit


def at_most(limit: float, value: float | None) -> bool:
    """Whether a number is there and does not pass `limit`."""
    return value is not None and value <= limit


def list_rows(found: dict[str, Any]) -> list[Row]:
    """Every row whose data was there."""
    parts = (list_pasted, list_boxed, list_series, list_labelled, list_shortcuts, list_drawn, list_reported)
    return [row for part in parts for row in part(found)]


def list_cells(found: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Head and lines of the table, with a column for the model that stands beside, if there is one."""
    beside = found.get("beside")
    head = ("judged on", "measure", *([beside["version"]] if beside else []), "wanted", "reached", "")
    cells = []
    for row in list_rows(found):
        other = [beside["reached"].get(row.measure, "none")] if beside else []
        met = "met" if row.met else "**missed**"
        cells.append((row.judged_on, row.measure, *other, row.wanted, row.reached, met))
    return head, cells


def tell_beside(path: Path) -> dict[str, Any]:
    """What an evaluation is to others that are held against it: its version, and what it reached by measure.

    Raises:
        OSError, ValueError: the file is no evaluation.json of this version.
    """
    try:
        found = json.loads(path.read_text())
        return {"version": found["version"], "reached": {row.measure: row.reached for row in list_rows(found)}}
    except (ValueError, KeyError, TypeError, AttributeError):
        told = f"{path} is no evaluation.json of this version; run `lungct evaluate` on its model again."
        raise ValueError(told) from None


def list_pasted(found: dict[str, Any]) -> Iterator[Row]:
    scores, intervals = found["pasted"]["scores"], found["pasted"]["intervals"]
    wanted = (
        ("balanced_accuracy", "balanced accuracy", 0.74),
        ("recall_benign", "Benign recall", 0.60),
        ("recall_benign_7mm", "Benign recall from 7 mm", 0.72),
        ("recall_malignant", "Malignant recall", 0.86),
        ("benign_malignant_auc", "AUC, Benign against Malignant", 0.93),
        ("present_auc_0mm", "AUC, nodule present", 0.90),
        ("present_auc_7mm", "AUC, nodule present, from 7 mm", 0.93),
        ("present_auc_10mm", "AUC, nodule present, from 10 mm", 0.97),
    )
    for key, measure, limit in wanted:
        reached = show(scores[key], interval=intervals.get(key))
        if key == "benign_malignant_auc":
            reached += f"; diameter alone {show(scores['diameter_alone_auc'])}"
        yield Row(PASTED, measure, f">= {limit:.2f}", reached, at_least(limit, scores[key]))


def list_boxed(found: dict[str, Any]) -> Iterator[Row]:
    if not (boxed := found.get("lungdx_a0001")):
        return
    touched, least = f"{boxed['touched']} of {boxed['boxes']}", f">= 19 of {boxed['boxes']}"
    yield Row(BOXED, "boxes touched by the strongest cell", least, touched, boxed["touched"] >= 19)
    aucs = list(boxed["auc_by_series"].values())
    told = ", ".join(show(value) for value in aucs)
    measure = "AUC by series, tumour against slices 20 mm and more away"
    yield Row(BOXED, measure, ">= 0.97", told, all(at_least(0.97, value) for value in aucs))
    far = boxed["far_called_malignant"]
    yield Row(BOXED, "those far slices called Malignant", "<= 10%", show(far, True), at_most(0.10, far))


def list_series(found: dict[str, Any]) -> Iterator[Row]:
    if not (series := found.get("lidc_0001")):
        return
    place, told = series["rank"]["anything"], f"by P(Malignant) {series['rank']['malignant']}"
    measure = "rank of the slice with the nodule, by 1 - P(Normal)"
    yield Row(SERIES, measure, f"1 or 2 of {series['slices']}", f"{place} ({told})", place <= 2)
    count = series["free_reported_malignant"]
    yield Row(SERIES, "nodule-free slices reported Malignant", "none", str(count), count == 0)


def list_labelled(found: dict[str, Any]) -> Iterator[Row]:
    labelled = found["labelled"]
    auc, normal = labelled["malignant_normal_auc"], labelled["normal_called_malignant"]
    told = show(auc, interval=labelled["interval"])
    measure = "AUC, Malignant (none was trained on) against Normal"
    yield Row(LABELLED, measure, ">= 0.92", told, at_least(0.92, auc))
    told = show(normal["share"], True, normal["interval"])
    yield Row(LABELLED, "normal slices called Malignant", "<= 2%", told, at_most(0.02, normal["share"]))


def list_shortcuts(found: dict[str, Any]) -> Iterator[Row]:
    cuts = found["shortcuts"]
    wanted = (
        *(
            (cuts["smoothed"][sigma], f"called Malignant after a Gaussian of sigma {sigma}", limit)
            for sigma, limit in (("1", 0.03), ("2", 0.03), ("3", 0.05))
        ),
        (cuts["changed_by_surroundings"], "labels changed by other surroundings", 0.03),
    )
    for part, measure, limit in wanted:
        told = show(part["share"], True, part["interval"])
        yield Row(CUTS, measure, f"<= {limit:.0%}", told, at_most(limit, part["share"]))


def list_drawn(found: dict[str, Any]) -> Iterator[Row]:
    drawn = found["phantoms"]
    normal = drawn["without_called_normal"]
    measure = "without a nodule called Normal"
    yield Row(DRAWN, measure, ">= 80%", show(normal, True), at_least(0.80, normal))
    points = [drawn[kind]["strongest_cell_on_nodule"] for kind in ("smooth", "spiculated")]
    told, measure = " and ".join(show(value, True) for value in points), "strongest cell on it, smooth and spiculated"
    yield Row(DRAWN, measure, ">= 80%", told, all(at_least(0.80, value) for value in points))


def list_reported(found: dict[str, Any]) -> Iterator[Row]:
    reports = found["reports"]["all"]
    right, amount = reports["right"], reports["reported"]
    measure = "accuracy among reported"
    yield Row(REPORTED, measure, ">= 0.95", show(right), at_least(0.95, right))
    yield Row(REPORTED, "share reported", ">= 30%", show(amount, True), at_least(0.30, amount))
    known = [name for name, count in reports["called"].items() if count["reported"]]
    enough = {"Normal", "Malignant"} <= set(known)
    told = ", ".join(known) or "none"
    yield Row(REPORTED, "classes reported", "Normal and Malignant", told, enough)
