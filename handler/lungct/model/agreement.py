"""How far an engine agrees with fp32, in what is served: what the int8 graph must reach to be used by itself."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Agreement(NamedTuple):
    """Agreement on `slices` slices; none were compared where it is 0.

    Attributes:
        label: share with the same most probable class.
        probability: mean absolute difference of the calibrated probabilities.
        map: mean correlation (Pearson) of the evidence maps of each slice and class.
    """

    slices: int = 0
    label: float = 0.0
    probability: float = 1.0
    map: float = 0.0

    @property
    def passes(self) -> bool:
        """Whether the engine may answer in place of fp32."""
        return self.slices > 0 and self.label >= 0.99 and self.probability <= 0.01 and self.map >= 0.99


def compare(probabilities: Floats, maps: Floats, reference: tuple[Floats, Floats]) -> Agreement:
    """Hold probabilities (N, C) and evidence maps (N, C, h, w) against those of the reference, given as such a pair."""
    expected, known = reference
    found, known = (each.reshape(-1, each.shape[2] * each.shape[3]) for each in (maps, known))
    found, known = (each - each.mean(1, keepdims=True) for each in (found, known))
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(known, axis=1)
    correlation = (found * known).sum(1) / np.maximum(norms, 1e-12)
    return Agreement(
        len(maps),
        round(float((probabilities.argmax(1) == expected.argmax(1)).mean()), 5),
        round(float(np.abs(probabilities - expected).mean()), 5),
        round(float(correlation.mean()), 5),
    )
