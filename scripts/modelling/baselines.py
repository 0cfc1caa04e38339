"""Classifiers that know nothing of lungs: what a look-alike search or plain gray levels already score."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scripts.modelling.dataset import Cases

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


def match_nearest(features: Floats, labels: Ints, folds: Ints) -> Ints:
    """(N,) label of the most similar slice of the other folds."""
    predicted = np.empty_like(labels)
    for fold in np.unique(folds):
        here = folds == fold
        predicted[here] = KNeighborsClassifier(1).fit(features[~here], labels[~here]).predict(features[here])
    return predicted


def regress(features: Floats, labels: Ints, folds: Ints) -> Ints:
    """(N,) label by logistic regression on the other folds."""
    predicted = np.empty_like(labels)
    for fold in np.unique(folds):
        here = folds == fold
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(features[~here], labels[~here])
        predicted[here] = model.predict(features[here])
    return predicted
