"""The numbers of the model card, from a model folder and the data it was made of."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lungct import gate as gates
from lungct.model import ModelFolder
from lungct.pipeline import Job, Pipeline
from lungct.settings import Settings
from lungct.torch_engine import TorchEngine
from rich.progress import track
from safetensors.torch import load_file

from scripts.modelling.baselines import BASELINES, classify
from scripts.modelling.crossvalidation import ANSWERS, ASSIGNMENT, KEPT_OUT
from scripts.modelling.dataset import CLASSES, Cases
from scripts.modelling.gatekeeping import (
    REFUSE_MARGIN,
    REFUSE_SHARE,
    measure_distances,
    measure_neighbours,
    set_thresholds,
)
from scripts.modelling.intervals import bound_scores
from scripts.modelling.metrics import (
    Calibration,
    count_confusion,
    decide_across_folds,
    measure,
    measure_reported,
    select_classes,
    select_reported,
    softmax,
    trace_risk,
)
from scripts.modelling.targets import LEAST

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

    @property
    def kept_out(self) -> Ints:
        """Rows that the shipped network never saw."""
        return np.flatnonzero(self.folds == KEPT_OUT)


def judge_folds(evaluation: Evaluation) -> dict[str, Any]:
    """Cross-validated scores with intervals by case, mean over folds, confusion, risk and the worst failures."""
    labels, groups, folds = evaluation.cases.labels, evaluation.cases.groups, evaluation.folds
    decisions = decide_across_folds(evaluation.logits, labels, folds)

    def score(rows: Ints) -> dict[str, float]:
        some = type(decisions)(decisions.probabilities[rows], decisions.reported[rows])
        return measure(some.probabilities, labels[rows]) | measure_reported(some, labels[rows])

    others = {
        name: measure(classify(classifier, describe(evaluation.cases), labels, folds), labels)
        for name, (describe, classifier) in BASELINES.items()
    }
    raw = measure(softmax(evaluation.logits, 1.0), labels)
    rests = select_classes(labels) | select_reported(decisions)
    confidence = decisions.probabilities.max(1)
    predicted = decisions.probabilities.argmax(1)
    worst = [row for row in np.argsort(-confidence, kind="stable") if predicted[row] != labels[row]][:10]
    coverage, risk = trace_risk(decisions.probabilities, labels)
    return {
        "slices": len(labels),
        "cases": len(set(groups)),
        "cases_per_class": {name: len(set(groups[labels == c])) for c, name in enumerate(CLASSES)},
        **bound_scores(score, groups, rests),
        "reported": {
            name: {
                "called": int((predicted == c).sum()),
                "reported": int((reported := decisions.reported & (predicted == c)).sum()),
                "right": int((labels[reported] == c).sum()),
            }
            for c, name in enumerate(CLASSES)
        },
        "mean_of_folds": {
            key: float(np.nanmean([score(np.flatnonzero(folds == fold))[key] for fold in np.unique(folds)]))
            for key in LEAST
        },
        "confusion": count_confusion(decisions.probabilities, labels),
        "uncalibrated": raw,
        "baselines": others,
        "error_at_coverage": {f"{c:.0%}": float(risk[np.searchsorted(coverage, c - 1e-9)]) for c in (0.5, 0.7, 0.9, 1)},
        "worst": [
            {
                "file": evaluation.cases.files[row],
                "is": CLASSES[labels[row]],
                "called": CLASSES[predicted[row]],
                "confidence": round(float(confidence[row]), 3),
            }
            for row in worst
        ],
    }


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


def pass_gate(folder: ModelFolder, files: Iterable[bytes]) -> dict[str, Any]:
    """What the server does with files: shares of 422 not_a_ct_slice, of refer for being unlike, of accept."""
    pipeline = Pipeline(folder, TorchEngine(folder, torch.device("cpu")), Settings(), threads=1)
    outcomes = []
    for body in track(list(files), "Gate"):
        reply = pipeline.score([Job({"body": body}, {})]).replies[0]
        unlike = reply.status == 200 and gates.UNLIKE in json.loads(reply.body)["warnings"]
        outcomes.append("refused" if reply.label == "not_a_ct_slice" else "unlike" if unlike else reply.outcome)
    counts = {name: outcomes.count(name) / len(outcomes) for name in ("refused", "unlike", "error")}
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
