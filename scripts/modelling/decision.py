"""When an answer is reported: a temperature from pasted slices, a limit for each class from real and pasted ones."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from lungct.model import softmax
from lungct_tools.modelling.dataset import BENIGN, MALIGNANT

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REPORTED_ACCURACY = 0.95  # what is aimed at
NEVER = 2.0  # a limit of confidence that no slice reaches: nothing is reported
# Slices: so many independent ones without an error are what it takes to claim 95 %, as 0.95 ** 60 is under 5 %. Slices
# of a case are not independent: it keeps a handful from deciding, and is no proof.
LEAST_SUPPORT = 60


def is_calibrating(group: str) -> bool:
    """Whether an unseen case sets limits, or is kept to tell what they are worth: halves, by hash."""
    return hashlib.sha256(f"limits {group}".encode()).digest()[0] % 2 == 0


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """The temperature with the least negative log-likelihood (Guo et al. 2017) of logits (N, C), to three digits."""

    def lose(scale: float) -> float:
        return -float(np.log(softmax(logits, float(np.exp(scale)))[np.arange(len(labels)), labels] + 1e-12).mean())

    return round(float(np.exp(minimize_scalar(lose, bounds=(-3, 3), method="bounded").x)), 3)


def choose_limits(probabilities: Floats, labels: Ints, support: int = LEAST_SUPPORT) -> Floats:
    """(C,) least confidence from which slices called that class are right in REPORTED_ACCURACY of them.

    One for each class: with one for all, a class that is easy would make up for one that is not. Each is judged as it
    is written down, rounded up to three digits. NEVER where none reaches the accuracy on `support` slices or more.
    """
    confidence, called = probabilities.max(1), probabilities.argmax(1)
    found = np.full(probabilities.shape[1], NEVER)
    for index in np.unique(called):
        mine = confidence[called == index]
        right = labels[called == index] == index
        for limit in np.unique(np.ceil(mine * 1000) / 1000):
            kept = mine >= limit
            if kept.sum() >= support and right[kept].mean() >= REPORTED_ACCURACY:
                found[index] = limit
                break
    return found


def forgive(called: Ints, labels: Ints) -> Ints:
    """The labels (N,), a slice labelled Benign being what it is called unless it is called Malignant.

    The labelled data's Benign shows nothing by which its readers, or two networks, tell it from Normal.
    """
    return np.where((labels == BENIGN) & (called != MALIGNANT), called, labels)
