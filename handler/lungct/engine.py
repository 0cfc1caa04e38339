"""A batch of inputs in, logits, evidence maps and features out: what an engine is, and which one a worker takes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lungct.calibration import softmax
from lungct.errors import ModelFolderError
from lungct.model import ModelFolder

Floats = npt.NDArray[np.float32]

logger = logging.getLogger(__name__)


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


# Several times what the shipped model's golden inputs show, so that other weights and processors pass as well. There
# logit, probability and sum differ by 0.038, 0.0018 and 0.000001 in int8, by 0.006, 0.0017 and 0.000001 in fp16, by
# 0.017, 0.0024 and 0.0045 in bf16, else by 0.000002. The halves are torch's on a CPU, bf16 with sums like OpenVINO's.
TOLERANCES = {
    "torch-gpu": Tolerance(0.05, 0.02, 1e-3),
    "openvino-int8-bf16": Tolerance(0.2, 0.05, 0.05),
    "openvino-int8": Tolerance(0.2, 0.05, 1e-3),
    "openvino-bf16": Tolerance(0.1, 0.02, 0.05),
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


def choose_engine(
    folder: ModelFolder, device: str = "cpu", threads: int = 1, wanted: str = "auto", largest: int = 1
) -> Engine:
    """The fastest engine for a device that reproduces the golden answers, warm.

    Args:
        folder: a verified model folder.
        device: "cpu", or torch's name of a GPU.
        threads: CPU threads that the engine may use.
        wanted: "auto", or one of TOLERANCES: nothing stands in for an engine that was asked for by name.
        largest: size of the batches to come; a GPU without room for them is found out here, not by the first one.

    Raises:
        ModelFolderError: no engine reproduces the golden answers.
        ImportError, OSError, RuntimeError: the engine asked for lacks its package or does not run here.
        ValueError: there is no engine of the name asked for.
    """
    if wanted != "auto":
        return _build(wanted, folder, device, threads, largest)
    for name in _rank(folder, device):
        try:
            return _build(name, folder, device, threads, largest)
        # torch asserts that it has CUDA; a library of CUDA's that does not load is an OSError
        except (ModelFolderError, ImportError, OSError, RuntimeError, AssertionError) as fault:
            logger.error("Engine %s is not used, a slower and safer one is: %s", name, fault)
    return _build("torch", folder, device, threads, largest)


def prove(engine: Engine, folder: ModelFolder, tolerance: Tolerance) -> None:
    """Hold an engine against the golden answers of the model folder.

    Raises:
        ModelFolderError: an answer differs by more than `tolerance`, or the class changes.
    """
    gaps = _measure_gaps(found := engine.predict(folder.golden.inputs), folder)
    same = (found.logits.argmax(1) == folder.golden.logits.argmax(1)).all()
    if not same or not all(gap <= allowed for gap, allowed in zip(gaps, tolerance, strict=True)):  # nan is no answer
        raise ModelFolderError(
            f"Engine {engine.name} does not reproduce the golden answers of the model folder (largest differences "
            f"{_list(gaps)}; allowed {_list(tolerance)}). The weights and model.json do not belong together, or this "
            "engine computes wrongly here."
        )
    logger.info("Engine %s reproduces the golden answers (largest differences %s).", engine.name, _list(gaps))


def _measure_gaps(found: Prediction, folder: ModelFolder) -> Tolerance:
    """The largest difference of each kind."""

    def widest(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float:
        return float(np.abs(one - other).max())

    temperature = folder.contract.temperature
    return Tolerance(
        widest(found.logits, folder.golden.logits),
        widest(softmax(found.logits, temperature), softmax(folder.golden.logits, temperature)),
        float(
            np.max(  # nan stays nan
                [
                    widest(folder.contract.pooling.pool(found.maps) + folder.bias, found.logits),
                    widest(found.maps.mean((2, 3)), found.features @ folder.read_last_layer().T),
                ]
            )
        ),
    )


def _list(gaps: Tolerance) -> str:
    return ", ".join(f"{name} {gap:.5f}" for name, gap in gaps._asdict().items())


def _rank(folder: ModelFolder, device: str) -> Iterator[str]:
    """The engines to try for a device, fastest first; what is not asked for any more need not load OpenVINO."""
    if device != "cpu":
        yield "torch-gpu"
    agreeing = {name for name, agreement in folder.contract.agreement.items() if agreement.passes}
    halves = _has_bf16()
    for name in ("openvino-int8-bf16", "openvino-int8", "openvino-bf16", "openvino-fp32"):
        if ("int8" not in name or name in agreeing) and (halves or not name.endswith("bf16")):
            yield name


def _has_bf16() -> bool:
    try:
        from lungct.openvino_engine import has_bf16
    except ImportError:  # those that need OpenVINO will say so
        return False
    return has_bf16()


def _build(name: str, folder: ModelFolder, device: str, threads: int, largest: int) -> Engine:
    """Make an engine, prove and warm it. Only the package that serves is loaded: torch costs memory and seconds."""
    engine: Engine
    if name not in TOLERANCES:
        raise ValueError(f"There is no engine {name!r}; choose auto or one of {', '.join(TOLERANCES)}.")
    if name == "torch-gpu" and device == "cpu":
        raise RuntimeError("Engine torch-gpu needs a GPU, and TorchServe assigned none to this worker.")
    if name.startswith("torch"):
        from lungct.torch_engine import TorchEngine

        engine = TorchEngine(folder, device if name == "torch-gpu" else "cpu", threads)
    else:
        from lungct.openvino_engine import OpenVinoEngine

        engine = OpenVinoEngine(folder, name.removeprefix("openvino-"), threads)
    prove(engine, folder, TOLERANCES[name])
    engine.warm(largest)
    return engine
