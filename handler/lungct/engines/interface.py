"""What an engine is: inputs in, logits, evidence maps and features out, as near to fp32 as its kind allows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Tolerance(NamedTuple):
    """How far an engine may be from the golden answers; also how far one is.

    Attributes:
        logit: largest difference of a logit.
        probability: largest difference of a calibrated probability, which is what is served.
        sum: largest difference between a logit and what its evidence map pools to, or between the mean of that map
            and what the features add up to: the golden file holds neither, but both must explain the logits.
    """

    logit: float
    probability: float
    sum: float


# More than what the shipped model's golden inputs show, so that other weights and processors pass as well. There logit,
# probability and sum differ by 0.075, 0.0114 and 0.000001 in int8, by 0.008, 0.0012 and 0.000001 in fp16, by 0.064,
# 0.0125 and 0.000001 in bf16, else by 0.000007, 0.000002 and 0.000002. The halves are torch's on a CPU.
TOLERANCES = {
    "torch-gpu": Tolerance(0.15, 0.03, 1e-3),
    "openvino-int8-bf16": Tolerance(0.2, 0.05, 0.05),
    "openvino-int8": Tolerance(0.2, 0.05, 1e-3),
    "openvino-bf16": Tolerance(0.15, 0.03, 0.05),
    "openvino-fp32": Tolerance(1e-3, 1e-3, 1e-3),
    "torch": Tolerance(1e-3, 1e-3, 1e-3),
}


class Prediction(NamedTuple):
    """What one forward pass says of a batch."""

    logits: Floats  # (N, C)
    maps: Floats  # (N, C, 7, 7): signed evidence of each class, see network.Evidence
    features: Floats  # (N, 512)


class Engine(Protocol):
    """Anything that computes a Prediction.

    Attributes:
        name: what replies call it.
        kind: which of TOLERANCES it is held to.
    """

    name: str
    kind: str

    def predict(self, inputs: Iterable[npt.NDArray[np.uint8]]) -> Prediction:
        """(1, S, S) uint8 each, at least one -> Prediction of as many rows, in their order.

        An iterator may still be making the later inputs: an engine that can begins with the first ones.
        """
        ...

    def warm(self, largest: int) -> None:
        """Do now what the first batch of each size up to `largest` would else wait for."""
        ...
