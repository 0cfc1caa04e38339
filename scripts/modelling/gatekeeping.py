"""How the feature gate of a model folder is made: distances to the training data, and thresholds for a stated cost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lungct.gate.body import outline
from lungct.gate.checks import measure_sharpness
from lungct.model.statistics import Statistics
from lungct_tools.modelling.dataset import Cases

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

SIZE = 224

SHRINKAGE = 0.01  # of 0.01, 0.1 and 0.5 the one that keeps most not-CT pictures out at the same false refusal
REFER_SHARE, REFUSE_SHARE = 0.03, 0.005  # of chest-CT slices kept out of the training
REFUSE_MARGIN = 1.15  # on the distance: no CT that was not there lies farther, nearly all that is no CT does

SMOOTH_SHARE = 0.01  # of the slices of a class that may be smoother than where the class is said to begin


def measure_cases(cases: Cases) -> Floats:
    """(N,) sharpness of each slice as the server measures it; infinite where there is no body to measure it in."""
    inputs = cases.inputs(np.arange(len(cases.labels)), SIZE)
    bodies = [outline(pixels) for pixels in inputs]
    return np.array(
        [np.inf if b is None else measure_sharpness(p, b) for p, b in zip(inputs, bodies, strict=True)], np.float32
    )


def choose_least_sharpness(sharpness: Floats, labels: Ints) -> float:
    """The sharpness (N,) from which slices of a second class begin: under it, smoothness alone would tell the class.

    A class begins where SMOOTH_SHARE of its slices are smoother; 0 where there is one class only.
    """
    begins = sorted(float(np.quantile(sharpness[labels == c], SMOOTH_SHARE)) for c in np.unique(labels))
    return round(begins[1], 3) if len(begins) > 1 else 0.0


def find_sharp(sharpness: Floats, labels: Ints, folds: Ints) -> Flags:
    """(N,) whether each slice is as sharp as the slices of the other folds demand."""
    sharp = np.ones(len(labels), bool)
    for fold in np.unique(folds):
        here = folds == fold
        sharp[here] = sharpness[here] >= choose_least_sharpness(sharpness[~here], labels[~here])
    return sharp


def fit_gate(features: Floats, labels: Ints, shrinkage: float = SHRINKAGE) -> Statistics:
    """A gate from training features (N, 512) and labels (N,); nothing is over its thresholds until they are set.

    The covariance shared by the classes moves by `shrinkage` of 0 to 1 towards a multiple of the identity (Ledoit &
    Wolf 2004), as there are hardly more slices than features.
    """
    exact = features.astype(np.float64)
    classes, index = np.unique(labels, return_inverse=True)
    means = np.stack([exact[index == c].mean(0) for c in range(len(classes))])
    covariance = np.cov((exact - means[index]).T)
    width = len(covariance)
    covariance = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / width * np.eye(width)
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))
    return Statistics(whitening.astype(np.float32), (means @ whitening.T).astype(np.float32), np.inf, np.inf)


def measure_distances(gate: Statistics, features: Floats) -> Floats:
    """(N, 512) features -> (N,) distances."""
    return np.array([gate.measure(row) for row in features], np.float32)


def set_thresholds(gate: Statistics, kept_out: Floats) -> Statistics:
    """The gate that refers and refuses stated shares of slices (N, 512) that it has not seen."""
    refer, refuse = np.quantile(measure_distances(gate, kept_out), [1 - REFER_SHARE, 1 - REFUSE_SHARE])
    return gate._replace(refer_above=round(float(refer), 3), refuse_above=round(float(refuse) * REFUSE_MARGIN, 3))


def measure_neighbours(training: Floats, features: Floats, count: int) -> Floats:
    """(N,) mean distance to the `count` nearest of the training features, all at unit length: the gate's rival."""
    reference, asked = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (training, features))
    return np.sort(2 - 2 * asked @ reference.T, axis=1)[:, :count].mean(1)
