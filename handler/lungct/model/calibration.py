"""Logits -> calibrated probabilities, as served."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def softmax(logits: npt.NDArray[Any], temperature: float) -> npt.NDArray[np.float64]:
    """(..., C) logits -> (..., C) calibrated probabilities (temperature scaling, Guo et al. 2017)."""
    scaled = logits.astype(np.float64) / temperature
    raised = np.exp(scaled - scaled.max(-1, keepdims=True))
    return np.asarray(raised / raised.sum(-1, keepdims=True), np.float64)
