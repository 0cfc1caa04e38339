"""What a classifier makes of slices that are smoother than the scanner wrote them: smoothing is no disease."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lungct_tools.modelling.dataset import CLASSES
from lungct_tools.modelling.gatekeeping import measure_cases
from lungct_tools.modelling.judgement import Evaluation
from lungct_tools.modelling.metrics import decide, softmax
from lungct_tools.modelling.recipe import predict

SIGMAS = (0.0, 1.0, 2.0, 3.0)  # of a Gaussian, in pixels of the published slices
MALIGNANT = CLASSES.index("Malignant")


def measure_smoothing(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Kept-out slices that are not Malignant, smoothed: how many are called so, and reported.

    `reported` is as served; `reported_without_gate` is by confidence alone, without the limit of sharpness.
    """
    folder, cases = evaluation.folder, evaluation.cases
    rows = evaluation.kept_out[cases.labels[evaluation.kept_out] != MALIGNANT]
    limits = np.array([folder.contract.refer_below.get(name, 0.0) for name in CLASSES])
    least = folder.gate.least_sharpness if folder.gate else 0.0
    found = []
    for sigma in SIGMAS:
        slices = [smooth(cases.slices[row], sigma) for row in rows]
        some = replace(cases, slices=slices, labels=cases.labels[rows], groups=cases.groups[rows])
        logits = predict(folder.network, some, np.arange(len(rows)), folder.contract.size)[0].astype(np.float64)
        decided = decide(softmax(logits, folder.contract.temperature), limits)
        called = decided.probabilities.argmax(1) == MALIGNANT
        reported = called & decided.reported
        sharp = measure_cases(some) >= least
        found.append(
            {
                "sigma": sigma,
                "slices": len(rows),
                "called_malignant": float(called.mean()),
                "reported_without_gate": float(reported.mean()),
                "reported": float((reported & sharp).mean()),
                "smooth": float((~sharp).mean()),
            }
        )
    return found


def smooth(pixels: npt.NDArray[np.uint8], sigma: float) -> npt.NDArray[np.uint8]:
    """A slice (H, W) after a Gaussian filter; itself for 0."""
    return cv2.GaussianBlur(pixels, (0, 0), sigma) if sigma else pixels
