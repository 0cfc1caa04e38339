"""A batch of inputs in, logits, evidence maps and features out: what an engine is, and which one a worker takes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lungct.errors import ModelFolderError
from lungct.model import ModelFolder

Floats = npt.NDArray[np.float32]

logger = logging.getLogger(__name__)

# Largest difference of a golden logit that an engine may show. Half precision and int8 round; only fp32 repeats.
TOLERANCES = {"torch-gpu": 0.25, "openvino-int8": 1.0, "openvino-bf16": 0.25, "openvino-fp32": 1e-3, "torch": 1e-3}


class Prediction(NamedTuple):
    """What one forward pass says of a batch."""

    logits: Floats  # (N, C)
    maps: Floats  # (N, C, 7, 7): signed evidence of each class, see network.Evidence
    features: Floats  # (N, 512)


class Engine(Protocol):
    """Anything that computes a Prediction."""

    name: str

    def predict(self, inputs: Iterable[npt.NDArray[np.uint8]]) -> Prediction:
        """(1, S, S) uint8 each, at least one -> Prediction of as many rows, in their order.

        An iterator may still be making the later inputs: an engine that can begins with the first ones.
        """
        ...

    def warm(self, largest: int) -> None:
        """Do now what the first batch of each size up to `largest` would else wait for."""
        ...


def choose_engine(folder: ModelFolder, device: str = "cpu", threads: int = 1, wanted: str = "auto") -> Engine:
    """The fastest engine for a device that reproduces the golden answers.

    Args:
        folder: a verified model folder.
        device: "cpu", or torch's name of a GPU.
        threads: CPU threads that the engine may use.
        wanted: "auto", or one of TOLERANCES: nothing stands in for an engine that was asked for by name.

    Raises:
        ModelFolderError: no engine reproduces the golden answers.
        ImportError, RuntimeError: the engine asked for lacks its package or does not run here.
        ValueError: there is no engine of the name asked for.
    """
    if wanted not in ("auto", *TOLERANCES):
        raise ValueError(f"There is no engine {wanted!r}; choose auto or one of {', '.join(TOLERANCES)}.")
    *names, last = _rank(folder, device) if wanted == "auto" else [wanted]
    for name in names:
        try:
            return _build(name, folder, device, threads)
        except (ModelFolderError, ImportError, RuntimeError, AssertionError) as fault:  # torch asserts that it has CUDA
            logger.error("Engine %s is not used, a slower and safer one is: %s", name, fault)
    return _build(last, folder, device, threads)


def prove(engine: Engine, folder: ModelFolder, tolerance: float) -> None:
    """Hold an engine against the golden answers of the model folder.

    Raises:
        ModelFolderError: a logit differs by more than `tolerance`, or the class changes.
    """
    found = engine.predict(folder.golden.inputs).logits
    gap = float(np.abs(found - folder.golden.logits).max())
    if not gap <= tolerance or (found.argmax(1) != folder.golden.logits.argmax(1)).any():
        raise ModelFolderError(
            f"Engine {engine.name} does not reproduce the golden answers of the model folder (largest logit "
            f"difference {gap:.4f}, allowed {tolerance}). The weights and model.json do not belong together."
        )
    logger.info("Engine %s reproduces the golden answers within %.5f.", engine.name, gap)


def _rank(folder: ModelFolder, device: str) -> list[str]:
    """The engines for a device, fastest first, safest last."""
    gpu = ["torch-gpu"] if device != "cpu" else []
    int8 = ["openvino-int8"] if folder.contract.agreement.passes else []
    bf16 = ["openvino-bf16"] if _has_bf16() else []
    return [*gpu, *int8, *bf16, "openvino-fp32", "torch"]


def _has_bf16() -> bool:
    try:
        from lungct.openvino_engine import has_bf16
    except ImportError:  # those that need OpenVINO will say so
        return False
    return has_bf16()


def _build(name: str, folder: ModelFolder, device: str, threads: int) -> Engine:
    """Make an engine and prove it. Only the package that serves is loaded: torch costs a worker memory and seconds."""
    engine: Engine
    if name == "torch-gpu" and device == "cpu":
        raise RuntimeError("Engine torch-gpu needs a GPU, and TorchServe assigned none to this worker.")
    if name.startswith("torch"):
        from lungct.torch_engine import TorchEngine

        engine = TorchEngine(folder, device if name == "torch-gpu" else "cpu", threads)
    else:
        from lungct.openvino_engine import OpenVinoEngine

        engine = OpenVinoEngine(folder, name.removeprefix("openvino-"), threads)
    prove(engine, folder, TOLERANCES[name])
    return engine
