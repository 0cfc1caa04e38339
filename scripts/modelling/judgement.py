"""The numbers of the model card, from a model folder and the data it was made of."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track
from safetensors.torch import load_file

from lungct.engines import Engine
from lungct.gate import checks as gates
from lungct.model.folder import ModelFolder
from lungct.pipeline import Job, Pipeline
from lungct.settings import Settings, count_cores
from lungct_tools.modelling.crossvalidation import ANSWERS, ASSIGNMENT, KEPT_OUT
from lungct_tools.modelling.dataset import CLASSES, Cases
from lungct_tools.modelling.gatekeeping import (
    REFUSE_MARGIN,
    REFUSE_SHARE,
    find_sharp,
    measure_cases,
    measure_distances,
    measure_neighbours,
    set_thresholds,
)
from lungct_tools.modelling.intervals import bound_scores
from lungct_tools.modelling.metrics import Calibration, Decisions, decide_across_folds, measure, select_classes, softmax

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
NOT_CT = ("photo", "xray", "mri", "brain_ct")


@dataclass(frozen=True)
class Evaluation:
    """A model folder with the slices it was trained and judged on.

    Attributes:
        logits: (N, C) float64, each row by the network that did not see its fold.
        features: (N, 512) float32, likewise.
    """

    folder: ModelFolder
    cases: Cases
    folds: Ints
    logits: npt.NDArray[np.float64]
    features: npt.NDArray[np.float32]

    @classmethod
    def read(cls, path: Path, folder: ModelFolder, cases: Cases) -> Evaluation:
        """Join the committed folds and answers with the slices; ValueError when they are of other data."""
        with (path / ASSIGNMENT).open(newline="") as stream:
            table = list(csv.DictReader(stream))
        if [(row["file"], int(row["case"])) for row in table] != list(zip(cases.files, cases.groups, strict=True)):
            raise ValueError(f"{path / ASSIGNMENT} does not list the slices of the data folder.")
        answers = load_file(path / ANSWERS)
        folds = np.array([int(row["fold"]) for row in table])
        return cls(folder, cases, folds, answers["logits"].double().numpy(), answers["features"].float().numpy())

    @cached_property
    def sharpness(self) -> Floats:
        """(N,) see `measure_cases`."""
        return measure_cases(self.cases)

    @property
    def sharp(self) -> npt.NDArray[np.bool_]:
        """(N,) whether each slice is as sharp as the other folds demand."""
        return find_sharp(self.sharpness, self.cases.labels, self.folds)

    def decide(self) -> Decisions:
        """Each fold calibrated and decided by the others."""
        return decide_across_folds(self.logits, self.cases.labels, self.folds, self.sharp)

    @property
    def kept_out(self) -> Ints:
        """Rows that the shipped network never saw."""
        return np.flatnonzero(self.folds == KEPT_OUT)


def judge_shipped(evaluation: Evaluation, answers: npt.NDArray[np.float64]) -> dict[str, Any]:
    """The shipped weights on their kept-out fold; `answers` (M, C) are their logits, computed anew."""
    rows = evaluation.kept_out
    labels, groups = evaluation.cases.labels[rows], evaluation.cases.groups[rows]
    contract = evaluation.folder.contract
    probabilities = softmax(answers, contract.temperature)
    committed = Calibration.of(contract).correct(evaluation.logits[rows])

    def score(some: Ints) -> dict[str, float]:
        return measure(probabilities[some], labels[some])

    return {
        "slices": len(rows),
        "cases": len(set(groups)),
        "cases_per_class": {name: len(set(groups[labels == c])) for c, name in enumerate(CLASSES)},
        **bound_scores(score, groups, select_classes(labels)),
        "largest_difference_from_committed_answers": float(np.abs(answers - committed).max()),
    }


def pass_gate(folder: ModelFolder, engine: Engine, files: Iterable[bytes]) -> dict[str, Any]:
    """What the server does with files: shares of 422 not_a_ct_slice, of refer for being unlike or smooth, of errors, of
    the rest."""
    pipeline = Pipeline(folder, engine, Settings(), threads=count_cores())
    outcomes = []
    for body in track(list(files), "Gate"):
        reply = pipeline.score([Job({"body": body}, {})]).replies[0]
        warnings = json.loads(reply.body)["warnings"] if reply.status == 200 else ()
        held = "unlike" if gates.UNLIKE in warnings else "smooth" if gates.SMOOTH in warnings else reply.outcome
        outcomes.append("refused" if reply.label == "not_a_ct_slice" else held)
    counts = {name: outcomes.count(name) / len(outcomes) for name in ("refused", "unlike", "smooth", "error")}
    return {"files": len(outcomes), **counts, "accepted": 1 - sum(counts.values())}


def judge_distance(evaluation: Evaluation, training: Floats, kept_out: Floats, others: Floats) -> dict[str, float]:
    """The feature gate alone on features (M, 512): set on one half of the kept-out cases, judged on the other.

    `others` are no chest CT. The rival of the gate, the mean distance to five neighbours, gets the same false refusal.
    """
    gate = evaluation.folder.gate
    if gate is None:
        raise ValueError("The model folder has no gate.")
    groups = evaluation.cases.groups[evaluation.kept_out]
    half = np.isin(groups, np.unique(groups)[::2])
    refused, referred = [], []
    for here in (half, ~half):
        trial = set_thresholds(gate, kept_out[~here])
        distances = measure_distances(trial, kept_out[here])
        refused += (distances > trial.refuse_above).tolist()
        referred += ((distances > trial.refer_above) & (distances <= trial.refuse_above)).tolist()
    limit = REFUSE_MARGIN * np.quantile(measure_neighbours(training, kept_out, 5), 1 - REFUSE_SHARE)
    return {
        "ct_refused": float(np.mean(refused)),
        "ct_referred": float(np.mean(referred)),
        "others_caught": float((measure_distances(gate, others) > gate.refuse_above).mean()),
        "others_caught_by_neighbours": float((measure_neighbours(training, others, 5) > limit).mean()),
    }
