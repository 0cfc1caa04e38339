"""What the training data looks like: statistics of its features, and the limits beyond which a slice is unlike it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Statistics(NamedTuple):
    """Class-wise Mahalanobis distance (Lee et al. 2018, arXiv 1807.03888) of pooled features to the training data.

    Attributes:
        whitening: (512, 512) float32 W with W^T W the inverse of the shared covariance.
        centres: (C, 512) float32 class means, whitened.
        refer_above: distance over which a slice is unlike the training data.
        refuse_above: distance over which it is no chest-CT slice.
        least_sharpness: under which a slice is smoother than nearly all that set the limits.
    """

    whitening: Floats
    centres: Floats
    refer_above: float
    refuse_above: float
    least_sharpness: float = 0.0

    def measure(self, features: Floats) -> float:
        """Distance of the features (512,) of one slice to the nearest class."""
        return float(np.sqrt(((self.whitening @ features - self.centres) ** 2).sum(1).min()))
