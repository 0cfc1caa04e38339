"""Which engine a worker takes: the fastest one that reproduces the golden answers."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from lungct.engines.interface import TOLERANCES, Engine, Prediction, Tolerance
from lungct.errors import ModelFolderError
from lungct.model import ModelFolder, softmax

logger = logging.getLogger(__name__)


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
        ModelFolderError: an answer differs by more than `tolerance`, or another class is called that is clearly less
            probable.
    """
    gaps = _measure_gaps(found := engine.predict(folder.golden.inputs), folder)
    golden = softmax(folder.golden.logits, folder.contract.temperature)
    called = np.take_along_axis(golden, found.logits.argmax(1)[:, None], 1)[:, 0]
    same = (golden.max(1) - called <= tolerance.probability).all()  # either of two that are as probable may be called
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
        from lungct.engines.openvino import has_bf16
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
        from lungct.engines.torch import TorchEngine

        engine = TorchEngine(folder, device if name == "torch-gpu" else "cpu", threads)
    else:
        from lungct.engines.openvino import OpenVinoEngine

        engine = OpenVinoEngine(folder, name.removeprefix("openvino-"), threads)
    prove(engine, folder, TOLERANCES[name])
    engine.warm(largest)
    return engine
