"""Scores of a classifier, with intervals that respect cases, and the calibration of its confidence."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, roc_auc_score

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def softmax(logits: Floats, temperature: float) -> Floats:
    """(N, C) logits -> (N, C) probabilities at a temperature."""
    return F.softmax(torch.from_numpy(logits) / temperature, dim=1).numpy()


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """The temperature in 0.5-5 with the least negative log-likelihood (Guo et al. 2017), by grid to 0.01."""
    grid = np.arange(0.5, 5, 0.01)
    losses = [F.nll_loss(torch.log_softmax(torch.from_numpy(logits) / t, 1), torch.from_numpy(labels)) for t in grid]
    return round(float(grid[int(np.argmin(losses))]), 2)


def choose_refer_threshold(probabilities: Floats, labels: Ints, accuracy: float) -> float:
    """The least confidence at which the slices above it are right in at least `accuracy` of cases; 1.0 if none is."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    for threshold in np.sort(confidence):
        if right[confidence >= threshold].mean() >= accuracy:
            return float(np.ceil(threshold * 1000) / 1000)
    return 1.0


def expected_calibration_error(probabilities: Floats, labels: Ints, bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over equal-width confidence bins, weighted by their size."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[which == b].mean() - right[which == b].mean()) * (which == b).mean() for b in set(which)]
    return float(sum(gaps))


def measure(probabilities: Floats, labels: Ints, classes: tuple[str, ...]) -> dict[str, Any]:
    """Accuracy, balanced accuracy, recall of each class, malignant AUC, ECE and Brier score."""
    predicted = probabilities.argmax(1)
    matrix = confusion_matrix(labels, predicted, labels=range(len(classes)))
    malignant = classes.index("Malignant")
    return {
        "slices": len(labels),
        "accuracy": float((predicted == labels).mean()),
        "balanced_accuracy": float(balanced_accuracy_score(labels, predicted)),
        "recall": {name: float(matrix[i, i] / max(1, matrix[i].sum())) for i, name in enumerate(classes)},
        "malignant_auc": float(roc_auc_score(labels == malignant, probabilities[:, malignant])),
        "ece": expected_calibration_error(probabilities, labels),
        "brier": float(((probabilities - np.eye(len(classes))[labels]) ** 2).sum(1).mean()),
        "confusion": matrix.tolist(),
    }


def bootstrap_accuracy(right: npt.NDArray[np.bool_], groups: Ints, draws: int = 2000, seed: int = 0) -> list[float]:
    """95 % interval of the accuracy, drawing whole cases with replacement."""
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    hits = np.array([right[groups == g].sum() for g in names])
    sizes = np.array([(groups == g).sum() for g in names])
    picks = rng.integers(0, len(names), (draws, len(names)))
    accuracies = hits[picks].sum(1) / sizes[picks].sum(1)
    return [round(float(q), 4) for q in np.quantile(accuracies, [0.025, 0.975])]
