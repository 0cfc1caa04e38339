"""Evidence of 7 x 7 cells -> one logit: how a network sums up what it sees."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt


class Pooling(NamedTuple):
    """`mean` of the cells, as torchvision's ResNet18 has it, or `lse`: log-sum-exp, which lets few cells speak.

    For `lse` (Boyd & Vandenberghe 2004, section 3.1.5; Pinheiro & Collobert 2015, arXiv 1411.6228) with sharpness r the
    pooled evidence is (1/r) log mean_ij exp(r e_ij), between the mean (r to 0) and the peak (r to infinity). It moves
    with a constant, so that a class's bias may stand inside or outside, as for the mean. Its gradient is a softmax over
    the cells that sums to 1: the Grad-CAM weights, means over the cells, are those of the mean.
    """

    kind: Literal["mean", "lse"] = "mean"
    r: float = 0.0

    @property
    def known(self) -> bool:
        """Whether there is such a pooling."""
        return self.kind == "mean" or (self.kind == "lse" and self.r > 0)

    def pool(self, maps: npt.NDArray[np.floating]) -> npt.NDArray[Any]:
        """(..., h, w) evidence -> (...) pooled; a logit without its class's bias."""
        if self.kind == "mean":
            return np.asarray(maps.mean((-2, -1)))
        peak = maps.max((-2, -1), keepdims=True)
        total = np.exp(self.r * (maps - peak)).mean((-2, -1))
        return np.asarray(peak[..., 0, 0] + np.log(total) / self.r)


BY_MEAN = Pooling()
