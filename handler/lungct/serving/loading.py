"""A worker's start: the folder verified, an engine chosen and proven, readers proven."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lungct import pixels
from lungct.engines import choose_engine
from lungct.model import load_model_folder
from lungct.pipeline import Pipeline
from lungct.settings import Settings, count_cores


class Loaded(NamedTuple):
    """A pipeline that may answer, and the name of its engine."""

    pipeline: Pipeline
    engine: str
    threads: int


def load(folder: Path, config: Mapping[str, Any], gpu: int | None, batch_size: int) -> Loaded:
    """Make everything ready for batches of up to `batch_size` slices.

    Args:
        folder: of the model, with model.json.
        config: model-config.yaml.
        gpu: number of the GPU that this worker was given; None for the CPU.

    Raises:
        ModelFolderError, ValueError, RuntimeError: the model, a setting or the machine is not what it should be.
    """
    settings = Settings.read(config.get("handler") or {})
    threads = settings.threads or max(1, count_cores() // config.get("minWorkers", 1))
    if gpu is None and config.get("deviceType") == "gpu":
        raise RuntimeError("model-config.yaml asks for a GPU and none was found (is nvidia-smi on PATH?).")
    pixels.warm()  # its imports take as long as the model's
    model = load_model_folder(folder)
    engine = choose_engine(model, "cpu" if gpu is None else f"cuda:{gpu}", threads, settings.engine, batch_size)
    pipeline = Pipeline(model, engine, settings, threads)
    pixels.prove()
    return Loaded(pipeline, engine.name, threads)
