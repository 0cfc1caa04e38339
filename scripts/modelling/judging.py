"""The numbers of the model card: what the shipped folder answers on real, pasted, changed and drawn slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lungct_tools.modelling.dataset import NORMAL
from lungct_tools.modelling.judge import Judge
from lungct_tools.modelling.madeslices import judge_pasted, judge_phantoms, judge_shortcuts
from lungct_tools.modelling.pasting.settings import AS_READ, Settings
from lungct_tools.modelling.realslices import (
    judge_boxed,
    judge_free,
    judge_gate,
    judge_labelled,
    judge_reports,
    judge_series,
)
from lungct_tools.modelling.sources import Known

RECALLS = ("recall_benign", "recall_malignant", "recall_normal")
PHANTOMS = 9  # pasted slices for each drawn one of a kind
Flags = npt.NDArray[np.bool_]


def judge_all(judge: Judge, data: Path, made: int) -> dict[str, Any]:
    """Every row of the card's table; rows whose data is not there are left out.

    Args:
        judge: with whatever it is asked about.
        data: where pictures that are no chest CT may be.
        made: slices to paste, twice; a ninth as many are drawn.
    """
    served, free = judge.ask_files(judge.known)
    sources = np.array([one.source for one in judge.known])

    def pick(rows: Flags) -> list[Known]:
        return [one for one, row in zip(judge.known, rows, strict=True) if row]

    mine = (sources == "iq") & ~np.array([one.seen for one in judge.known])
    normal = [one for one in pick(mine) if one.label == NORMAL]
    found: dict[str, Any] = {
        "pasted": judge_pasted(judge, Settings(little=0), made),
        "as_read": judge_pasted(judge, AS_READ, made),
        "labelled": judge_labelled(pick(mine), free.take(mine)),
        "shortcuts": judge_shortcuts(judge, normal),
        "phantoms": judge_phantoms(judge, made // PHANTOMS),
        "reports": judge_reports(judge.known, served),
        "gate": judge_gate(judge, data),
    }
    if (rows := sources == "clear").any():
        found["free_of_nodules"] = judge_free(pick(rows), free.take(rows), served.take(rows))
    if (rows := sources == "lungdx_a0001").any():
        found["lungdx_a0001"] = judge_boxed(pick(rows), free.take(rows), served.take(rows))
    if (rows := sources == "lidc_0001").any():
        found["lidc_0001"] = judge_series(pick(rows), free.take(rows), served.take(rows))
    return found


def promise(found: dict[str, Any]) -> dict[str, Any]:
    """What model.json tells users and the exporter to expect, out of `judge_all`: recalls pasted, reports real."""
    reports, scores = found["reports"]["all"], found["pasted"]["scores"]
    known = {key: scores[key] for key in ("balanced_accuracy", *RECALLS)}
    known |= {"mean_confidence": reports["confidence"], "reported_share": reports["reported"]}
    told = {
        "of": "nodules of unseen patients pasted into unseen slices (recall, balanced accuracy), and real slices of "
        "scanners and cases that training did not see (what is reported, mean confidence); see MODEL_CARD.md",
        **{key: round(value, 4) for key, value in known.items() if value is not None},
    }
    if reports["right"] is not None:
        told["reported_accuracy"] = round(reports["right"], 4)
        told["reported_cases"] = [reports["groups_without_error"], reports["groups_reported"]]
    return told
