"""Scores of a classifier, the calibration of its confidence, and what it reports."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.metrics import confusion_matrix, roc_auc_score

from lungct.model.contract import ModelContract
from lungct_tools.modelling.dataset import CLASSES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

REPORTED_ACCURACY = 0.95  # what is aimed at
ALWAYS = 2.0  # a confidence that no slice reaches: everything under it is referred
# Slices: so many independent ones without an error are what it takes to claim 95 %, as 0.95 ** 60 is under 5 %. Slices
# of a case are not independent: it keeps a handful from deciding, and is no proof.
LEAST_SUPPORT = 60
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
    **{f"reported_accuracy_{name.lower()}": f"accuracy among reported, called {name}" for name in CLASSES},
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

    @classmethod
    def of(cls, contract: ModelContract) -> Calibration:
        """The calibration of a model folder that `train.py ship` wrote."""
        made = contract.training
        return cls(contract.temperature, made["benign_normal_contrast"], np.array(made["class_bias"]))

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
    """(N, C) logits -> (N, C) probabilities at a temperature.

    By torch, whose bytes are the same with AVX2 and AVX-512; numpy's exp differs in the last bit, and with it the
    numbers of the card.
    """
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


def choose_refer_thresholds(probabilities: Floats, labels: Ints, accuracy: float) -> Floats:
    """(C,) least confidence from which slices called that class are right in at least `accuracy` of them.

    One for each class that can be called: with one for all, a class that is easy would make up for one that is not.
    Each is judged as it is written down, rounded up to three digits. ALWAYS where none reaches the accuracy on
    LEAST_SUPPORT slices or more.
    """
    confidence, called = probabilities.max(1), probabilities.argmax(1)
    found = np.full(probabilities.shape[1], ALWAYS)
    for index in np.unique(called):
        mine = confidence[called == index]
        right = labels[called == index] == index
        for threshold in np.unique(np.ceil(mine * 1000) / 1000):
            kept = mine >= threshold
            if kept.sum() >= LEAST_SUPPORT and right[kept].mean() >= accuracy:
                found[index] = threshold
                break
    return found


def decide(probabilities: Floats, refer_below: Floats) -> Decisions:
    """Report the slices whose confidence reaches the threshold (C,) of their class, as the server does."""
    return Decisions(probabilities, probabilities.max(1) >= refer_below[probabilities.argmax(1)])


def decide_across_folds(
    logits: Floats, labels: Ints, folds: Ints, sharp: Flags | None = None, accuracy: float = REPORTED_ACCURACY
) -> Decisions:
    """Calibrate and decide each fold of out-of-fold logits (N, C) by what the other folds say.

    Nothing is judged on the rows that fitted it. Slices that are not `sharp` (N,) are referred.
    """
    probabilities, reported = np.empty_like(logits), np.empty(len(labels), bool)
    for fold in np.unique(folds):
        here = folds == fold
        probabilities[here], reported[here] = decide_by(logits[~here], labels[~here], logits[here], accuracy)
    return Decisions(probabilities, reported if sharp is None else reported & sharp)


def decide_by(known: Floats, labels: Ints, asked: Floats, accuracy: float = REPORTED_ACCURACY) -> Decisions:
    """Calibrate and decide logits (M, C) by others (N, C) whose labels (N,) are known."""
    calibration = fit_calibration(known, labels)
    thresholds = choose_refer_thresholds(calibration.apply(known), labels, accuracy)
    return decide(calibration.apply(asked), thresholds)


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
    right = probabilities.argmax(1) == labels
    recalls = {key: take_share(right, rows) for key, rows in select_classes(labels).items()}
    malignant = labels == CLASSES.index("Malignant")
    mixed = malignant.any() and not malignant.all()
    return {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.nanmean(list(recalls.values()))),
        **recalls,
        "malignant_auc": float(roc_auc_score(malignant, probabilities[:, CLASSES.index("Malignant")]))
        if mixed
        else np.nan,
        "ece": expected_calibration_error(probabilities, labels),
        "brier": float(((probabilities - np.eye(len(CLASSES))[labels]) ** 2).sum(1).mean()),
    }


def measure_reported(decisions: Decisions, labels: Ints) -> dict[str, float]:
    """Share of slices that are reported, and the accuracy among them: of all, and of those called each class.

    The accuracy is NaN where nothing is reported.
    """
    right = decisions.probabilities.argmax(1) == labels
    among = {key: take_share(right, rows) for key, rows in select_reported(decisions).items()}
    return {"reported_share": float(decisions.reported.mean()), **among}


def take_share(right: Flags, rows: Flags) -> float:
    """Share of `rows` (N,) that are `right` (N,); NaN where there are none."""
    return float(right[rows].mean()) if rows.any() else np.nan


def select_classes(labels: Ints) -> dict[str, Flags]:
    """The slices (N,) that the recall of each class rests on, by the name of the score."""
    return {f"recall_{name.lower()}": labels == c for c, name in enumerate(CLASSES)}


def select_reported(decisions: Decisions) -> dict[str, Flags]:
    """The slices (N,) that each accuracy among reported rests on, by the name of the score."""
    reported, called = decisions.reported, decisions.probabilities.argmax(1)
    of_class = {f"reported_accuracy_{name.lower()}": reported & (called == c) for c, name in enumerate(CLASSES)}
    return {"reported_accuracy": reported, **of_class}


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
