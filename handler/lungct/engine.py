"""The network on a device: a batch of inputs in, logits, evidence maps and features out."""

from __future__ import annotations

import logging
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from lungct.errors import ModelFolderError
from lungct.model import ModelFolder
from lungct.network import fold_for_inference
from lungct.preprocess import MEAN, STD

Floats = npt.NDArray[np.float32]

logger = logging.getLogger(__name__)


class Prediction(NamedTuple):
    """What one forward pass says of a batch."""

    logits: Floats  # (N, C)
    maps: Floats  # (N, C, 7, 7): signed evidence of each class, see network.Evidence
    features: Floats  # (N, 512)


class Engine(Protocol):
    """Anything that computes a Prediction."""

    name: str

    def predict(self, batch: npt.NDArray[np.uint8]) -> Prediction:
        """(N, 1, S, S) uint8 -> Prediction of N rows."""
        ...


class TorchEngine:
    """The folded network in fp32 on a CPU, in bf16 on a GPU; channels_last on both."""

    def __init__(self, folder: ModelFolder, device: torch.device) -> None:
        self._device = device
        self._dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self._network = fold_for_inference(folder.network).to(
            device, dtype=self._dtype, memory_format=torch.channels_last
        )
        self.name = f"torch-{device.type}-{str(self._dtype).removeprefix('torch.')}"

    @torch.inference_mode()
    def predict(self, batch: npt.NDArray[np.uint8]) -> Prediction:
        """(N, 1, S, S) uint8 -> Prediction of N rows, fp32."""
        pixels = torch.from_numpy(batch).to(self._device).float()
        inputs = ((pixels - MEAN) / STD).to(self._dtype).contiguous(memory_format=torch.channels_last)
        return Prediction(*(part.float().contiguous().cpu().numpy() for part in self._network.explain(inputs)))


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


def choose_engine(folder: ModelFolder, device: torch.device) -> Engine:
    """The engine for a device, proved against the golden answers."""
    engine = TorchEngine(folder, device)
    prove(engine, folder, tolerance=1e-3 if device.type == "cpu" else 0.25)
    return engine
