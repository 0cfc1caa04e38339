"""Scores of a classifier, with intervals that respect cases, and the calibration of its confidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.metrics import confusion_matrix, roc_auc_score

from scripts.modelling.dataset import CLASSES
from scripts.modelling.targets import REPORTED_ACCURACY

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DRAWS = 1000
PAIR = np.array([{"Benign": 1.0, "Normal": -1.0}.get(name, 0.0) for name in CLASSES])  # their difference
NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "recall_benign": "recall, Benign",
    "recall_malignant": "recall, Malignant",
    "recall_normal": "recall, Normal",
    "malignant_auc": "AUC, Malignant against the rest",
    "ece": "expected calibration error (10 bands)",
    "brier": "Brier score (three classes)",
    "reported_share": "share reported",
    "reported_accuracy": "accuracy among reported",
}


class Calibration(NamedTuple):
    """What makes logits honest: shrink a contrast, add a bias, divide by a temperature.

    Attributes:
        contrast: factor on the difference of Benign and Normal, which a network may tell far worse than Malignant from
            both: one temperature for all would leave it as sure of the one as of the other.
        bias: (C,), added after that.
    """

    temperature: float
    contrast: float
    bias: Floats

    @property
    def mix(self) -> Floats:
        """(C, C): logits @ mix.T has the smaller contrast."""
        return np.eye(len(PAIR)) + (self.contrast - 1) / 2 * np.outer(PAIR, PAIR)

    def correct(self, logits: Floats) -> Floats:
        """(N, C) logits -> (N, C) logits, what the shipped network's last layer gives."""
        return logits @ self.mix.T + self.bias

    def apply(self, logits: Floats) -> Floats:
        """(N, C) logits -> (N, C) calibrated probabilities."""
        return softmax(self.correct(logits), self.temperature)


class Decisions(NamedTuple):
    """Calibrated probabilities (N, C), and which of the N slices are reported rather than referred."""

    probabilities: Floats
    reported: Flags


def softmax(logits: Floats, temperature: float) -> Floats:
    """(N, C) logits -> (N, C) probabilities at a temperature."""
    return F.softmax(torch.from_numpy(logits) / temperature, dim=1).numpy()


def fit_calibration(logits: Floats, labels: Ints) -> Calibration:
    """The calibration with the least negative log-likelihood on (N, C) logits.

    Between temperature with bias (Alexandari et al. 2020), which alone can undo that the classes were drawn more evenly
    in training than they come, and matrix scaling (Guo et al. 2017). The small penalty keeps a class that is hardly
    there from running away.
    """
    known, truth = torch.from_numpy(logits).double(), torch.from_numpy(labels)
    pair = torch.from_numpy(PAIR)
    scale, shrink = (torch.zeros(1, dtype=torch.double, requires_grad=True) for _ in range(2))
    bias = torch.zeros(logits.shape[1], dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, shrink, bias], max_iter=500, line_search_fn="strong_wolfe")

    def lose() -> torch.Tensor:
        optimizer.zero_grad()
        mixed = known + (shrink.exp() - 1) / 2 * (known @ pair)[:, None] * pair
        penalty = 1e-3 * ((bias**2).sum() + (scale**2).sum() + (shrink**2).sum())
        loss = F.cross_entropy(mixed * scale.exp() + bias, truth) + penalty
        loss.backward()
        return loss

    optimizer.step(lose)
    temperature = 1 / scale.exp().item()
    return Calibration(round(temperature, 3), shrink.exp().item(), bias.detach().numpy() * temperature)


def choose_refer_threshold(probabilities: Floats, labels: Ints, accuracy: float) -> float:
    """The least confidence at which the slices above it are right in at least `accuracy` of cases; 1.0 if none is."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    for threshold in np.sort(confidence):
        if right[confidence >= threshold].mean() >= accuracy:
            return float(np.floor(threshold * 1000) / 1000)
    return 1.0


def decide_across_folds(logits: Floats, labels: Ints, folds: Ints, accuracy: float = REPORTED_ACCURACY) -> Decisions:
    """Calibrate and decide each fold of out-of-fold logits (N, C) by what the other folds say.

    Nothing is judged on the rows that fitted it.
    """
    probabilities, reported = np.empty_like(logits), np.empty(len(labels), bool)
    for fold in np.unique(folds):
        here = folds == fold
        calibration = fit_calibration(logits[~here], labels[~here])
        threshold = choose_refer_threshold(calibration.apply(logits[~here]), labels[~here], accuracy)
        probabilities[here] = calibration.apply(logits[here])
        reported[here] = probabilities[here].max(1) >= threshold
    return Decisions(probabilities, reported)


def expected_calibration_error(probabilities: Floats, labels: Ints, bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over equal-width confidence bins, weighted by their size."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[which == b].mean() - right[which == b].mean()) * (which == b).mean() for b in set(which)]
    return float(sum(gaps))


def measure(probabilities: Floats, labels: Ints) -> dict[str, float]:
    """Accuracy, balanced accuracy, recall of each class, malignant AUC, ECE and Brier score.

    The recall of a class that is not there is NaN, and left out of the balanced accuracy.
    """
    predicted = probabilities.argmax(1)
    recalls = [
        float((predicted[labels == c] == c).mean()) if (labels == c).any() else np.nan for c in range(len(CLASSES))
    ]
    malignant = labels == CLASSES.index("Malignant")
    mixed = malignant.any() and not malignant.all()
    return {
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": float(np.nanmean(recalls)),
        **{f"recall_{name.lower()}": recall for name, recall in zip(CLASSES, recalls, strict=True)},
        "malignant_auc": float(roc_auc_score(malignant, probabilities[:, CLASSES.index("Malignant")]))
        if mixed
        else np.nan,
        "ece": expected_calibration_error(probabilities, labels),
        "brier": float(((probabilities - np.eye(len(CLASSES))[labels]) ** 2).sum(1).mean()),
    }


def measure_reported(decisions: Decisions, labels: Ints) -> dict[str, float]:
    """Share of slices that are reported, and the accuracy among them."""
    right = decisions.probabilities.argmax(1) == labels
    return {
        "reported_share": float(decisions.reported.mean()),
        "reported_accuracy": float(right[decisions.reported].mean()) if decisions.reported.any() else np.nan,
    }


def resample_cases(
    measure_rows: Callable[[Ints], dict[str, float]], groups: Ints, draws: int = DRAWS, seed: int = 0
) -> dict[str, list[float]]:
    """95 % intervals of what `measure_rows` says of row numbers, drawing whole cases with replacement."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    found = [
        measure_rows(np.concatenate([members[case] for case in rng.integers(0, len(members), len(members))]))
        for _ in range(draws)
    ]
    return {key: np.nanquantile([row[key] for row in found], [0.025, 0.975]).tolist() for key in found[0]}


def count_confusion(probabilities: Floats, labels: Ints) -> list[list[int]]:
    """(C, C) counts: a row a true class, a column a predicted one."""
    counts: Any = confusion_matrix(labels, probabilities.argmax(1), labels=range(len(CLASSES)))
    return counts.tolist()


def trace_risk(probabilities: Floats, labels: Ints) -> tuple[Floats, Floats]:
    """Coverage (N,) and error rate (N,) of the slices answered with the 1, 2, ... N highest confidences."""
    order = np.argsort(-probabilities.max(1), kind="stable")
    wrong = (probabilities.argmax(1) != labels)[order]
    count = np.arange(1, len(labels) + 1)
    return count / len(labels), np.cumsum(wrong) / count
