"""Classifiers that know nothing of lungs: what a look-alike search or plain gray levels already score."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lungct_tools.modelling.dataset import CLASSES, Cases
from lungct_tools.modelling.gatekeeping import measure_cases
from lungct_tools.modelling.surroundings import count_outside_levels

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

THUMBNAIL = 64


def shrink(cases: Cases) -> Floats:
    """(N, 4096) pixels of each slice squashed to 64 x 64."""
    small = [cv2.resize(s, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel() for s in cases.slices]
    return np.stack(small).astype(np.float64)


def count_levels(cases: Cases) -> Floats:
    """(N, 64) share of each band of four gray levels: no shape, no place."""
    return np.stack([np.histogram(s, 64, (0, 256))[0] / s.size for s in cases.slices])


def describe_sharpness(cases: Cases) -> Floats:
    """(N, 1) sharpness of each slice, one number; 0 where there is no body to measure it in."""
    return np.nan_to_num(measure_cases(cases).astype(np.float64), posinf=0.0)[:, None]


REGRESSION = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
BASELINES: dict[str, tuple[Callable[[Cases], Floats], ClassifierMixin]] = {
    "nearest neighbour, 64 x 64 pixels": (shrink, KNeighborsClassifier(1)),
    "gray levels, whole slice": (count_levels, REGRESSION),
    "gray levels, outside the body only": (count_outside_levels, REGRESSION),
    "sharpness alone, one number": (describe_sharpness, REGRESSION),
}
NEAREST, HISTOGRAM, OUTSIDE, SHARPNESS = BASELINES


def classify(classifier: ClassifierMixin, features: Floats, labels: Ints, folds: Ints) -> Floats:
    """(N, C) probabilities of each slice by a classifier that was fitted on the other folds."""
    probabilities = np.zeros((len(labels), len(CLASSES)))
    for fold in np.unique(folds):
        here = folds == fold
        fitted = clone(classifier).fit(features[~here], labels[~here])
        probabilities[np.ix_(here, fitted.classes_)] = fitted.predict_proba(features[here])
    return probabilities
