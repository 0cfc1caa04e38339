"""The numbers of cross-validation: scores with intervals by case, by fold, what they rest on, the worst failures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from lungct_tools.modelling.baselines import BASELINES, classify
from lungct_tools.modelling.dataset import CLASSES
from lungct_tools.modelling.intervals import bound_scores, resample_cases
from lungct_tools.modelling.judgement import Evaluation
from lungct_tools.modelling.metrics import (
    Decisions,
    count_confusion,
    decide_by,
    measure,
    measure_reported,
    select_classes,
    select_reported,
    softmax,
    trace_risk,
)
from lungct_tools.modelling.targets import LEAST

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

WORST = 5  # named for each class
BENIGN, NORMAL = CLASSES.index("Benign"), CLASSES.index("Normal")


def judge_folds(evaluation: Evaluation) -> dict[str, Any]:
    """All of it, each slice judged by the network that did not see its fold and decided by the other folds."""
    labels, groups, folds = evaluation.cases.labels, evaluation.cases.groups, evaluation.folds
    decisions = evaluation.decide()
    predicted = decisions.probabilities.argmax(1)

    def score(rows: Ints) -> dict[str, float]:
        some = Decisions(decisions.probabilities[rows], decisions.reported[rows])
        return measure(some.probabilities, labels[rows]) | measure_reported(some, labels[rows])

    def average(rows: Ints) -> dict[str, float]:
        found = [measure(decisions.probabilities[some], labels[some]) for some in split_rows(rows, folds)]
        return {key: float(np.nanmean([one[key] for one in found])) for key in LEAST}

    others = {
        name: classify(classifier, describe(evaluation.cases), labels, folds)
        for name, (describe, classifier) in BASELINES.items()
    }

    def compare(rows: Ints) -> dict[str, float]:
        ours = (predicted == labels)[rows].mean()
        return {name: float(ours - (p.argmax(1) == labels)[rows].mean()) for name, p in others.items()}

    everything = np.arange(len(labels))
    coverage, risk = trace_risk(decisions.probabilities, labels)
    return {
        "slices": len(labels),
        "cases": len(set(groups)),
        "cases_per_class": {name: len(set(groups[labels == c])) for c, name in enumerate(CLASSES)},
        **bound_scores(score, groups, select_classes(labels) | select_reported(decisions)),
        "reported": {
            name: {
                "called": int((predicted == c).sum()),
                "reported": int((reported := decisions.reported & (predicted == c)).sum()),
                "right": int((labels[reported] == c).sum()),
            }
            for c, name in enumerate(CLASSES)
        },
        "mean_of_folds": average(everything),
        "mean_of_folds_intervals": resample_cases(average, groups),
        "folds": [describe_fold(evaluation, decisions, rows) for rows in split_rows(everything, folds)],
        "benign_from_normal": rank_benign(evaluation.logits, labels),
        "set_by_one_fold": judge_small_support(evaluation),
        "confusion": count_confusion(decisions.probabilities, labels),
        "uncalibrated": measure(softmax(evaluation.logits, 1.0), labels),
        "baselines": {name: measure(probabilities, labels) for name, probabilities in others.items()},
        "margins": compare(everything),
        "margins_intervals": resample_cases(compare, groups),
        "error_at_coverage": {f"{c:.0%}": float(risk[np.searchsorted(coverage, c - 1e-9)]) for c in (0.5, 0.7, 0.9, 1)},
        "worst": list_worst(evaluation, decisions),
    }


def split_rows(rows: Ints, folds: Ints) -> Iterable[Ints]:
    """The rows of each fold that has any."""
    return (rows[folds[rows] == fold] for fold in np.unique(folds[rows]))


def describe_fold(evaluation: Evaluation, decisions: Decisions, rows: Ints) -> dict[str, Any]:
    """Scores of one fold's rows; a class that is not there has none."""
    labels = evaluation.cases.labels[rows]
    scores = measure(decisions.probabilities[rows], labels)
    return {
        "fold": int(evaluation.folds[rows[0]]),
        "slices": len(rows),
        "cases": len(set(evaluation.cases.groups[rows])),
        "scores": {key: value for key, value in scores.items() if not np.isnan(value)},
        "benign_from_normal": rank_benign(evaluation.logits[rows], labels),
    }


def rank_benign(logits: Floats, labels: Ints) -> float | None:
    """AUC of logits (N, C) for Benign against Normal, Malignant slices left out; None where one of them is missing.

    No calibration that is the same for all slices changes it.
    """
    pair = np.isin(labels, (BENIGN, NORMAL))
    if len(set(labels[pair])) < 2:
        return None
    return float(roc_auc_score(labels[pair] == BENIGN, logits[pair, BENIGN] - logits[pair, NORMAL]))


def judge_small_support(evaluation: Evaluation) -> dict[str, Any]:
    """What limits are worth that one fold sets, as the shipped ones are: each fold decides all the others."""
    found = []
    for fold in np.unique(evaluation.folds):
        here = evaluation.folds == fold
        logits, labels = evaluation.logits, evaluation.cases.labels
        decided = decide_by(logits[here], labels[here], logits[~here])
        kept = Decisions(decided.probabilities, decided.reported & evaluation.sharp[~here])
        found.append(measure_reported(kept, labels[~here]))
    keys = ("reported_share", "reported_accuracy")
    return {key: [one[key] for one in found if not np.isnan(one[key])] for key in keys}


def list_worst(evaluation: Evaluation, decisions: Decisions) -> list[dict[str, Any]]:
    """The most confident errors about the slices of each class."""
    confidence, predicted = decisions.probabilities.max(1), decisions.probabilities.argmax(1)
    labels, files = evaluation.cases.labels, evaluation.cases.files
    order = np.argsort(-confidence, kind="stable")
    wrong = [[row for row in order if labels[row] == c != predicted[row]][:WORST] for c in range(len(CLASSES))]
    return [
        {
            "file": files[row],
            "is": CLASSES[labels[row]],
            "called": CLASSES[predicted[row]],
            "confidence": round(float(confidence[row]), 3),
        }
        for rows in wrong
        for row in rows
    ]
