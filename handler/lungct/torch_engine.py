"""The network by torch: on a GPU in half precision at fixed batch sizes, on a CPU in fp32 as the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lungct.engine import Prediction
from lungct.model import ModelFolder
from lungct.network import fold_for_inference
from lungct.preprocess import MEAN, STD
from lungct.weights import FEATURES

GPU_BUCKETS = (1, 4, 8, 16, 32, 64, 128, 256)


class TorchEngine:
    """The folded network, channels_last.

    With buckets a batch is padded to the next one: on a GPU each has its CUDA graph, so a batch costs one upload of
    bytes, one launch and one download. Without buckets every batch size stands for itself.
    """

    def __init__(
        self, folder: ModelFolder, device: torch.device | str = "cpu", threads: int = 0, buckets: Sequence[int] = ()
    ) -> None:
        """Put the network on a device.

        Args:
            folder: a verified model folder.
            device: "cpu" or a GPU.
            threads: CPU threads that torch may use in this process; 0 leaves it as it is.
            buckets: batch sizes, ascending; none: GPU_BUCKETS on a GPU, no padding on a CPU.
        """
        if threads:
            torch.set_num_threads(threads)
        self._device = torch.device(device)
        gpu = self._device.type == "cuda"
        if gpu:
            torch.cuda.set_device(self._device)  # streams and graphs are made on the present device
        self._dtype = torch.float16 if gpu else torch.float32
        network = fold_for_inference(folder.read_weights())
        self._network = network.to(self._device, dtype=self._dtype, memory_format=torch.channels_last)
        self._buckets = tuple(buckets) or (GPU_BUCKETS if gpu else ())
        self._lanes: dict[int, _Lane] = {}
        self._side, self._classes = folder.contract.size, len(folder.contract.classes)
        self.name = f"torch-{self._device.type}-{'fp16' if gpu else 'fp32'}"

    @torch.inference_mode()
    def predict(self, inputs: Iterable[npt.NDArray[np.uint8]]) -> Prediction:
        """(1, S, S) uint8 each -> Prediction of as many rows, fp32; more than the largest bucket go in parts."""
        batch = np.stack(list(inputs))
        step = self._buckets[-1] if self._buckets else len(batch)
        parts = [self._run(batch[start : start + step]) for start in range(0, len(batch), step)]
        logits, features, maps = np.split(np.concatenate(parts), [self._classes, self._classes + FEATURES], axis=1)
        cells = math.isqrt(maps.shape[1] // self._classes)
        return Prediction(logits, maps.reshape(len(batch), self._classes, cells, cells), features)

    def warm(self, largest: int) -> None:
        """Run a batch of each size that has a lane of its own; on a GPU that captures its graph."""
        for rows in {1, *(bucket for bucket in self._buckets if bucket < largest), largest}:
            self.predict(np.zeros((rows, 1, self._side, self._side), np.uint8))

    def _run(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        size = next((bucket for bucket in self._buckets if bucket >= len(batch)), len(batch))
        if size not in self._lanes:
            self._lanes[size] = _Lane(self._forward, (size, *batch.shape[1:]), self._device)
        return self._lanes[size].run(batch)

    def _forward(self, pixels: Tensor) -> Tensor:
        """(N, 1, S, S) uint8 -> (N, C + 512 + C*h*w) fp32: all answers in one tensor, so that one copy fetches them."""
        inputs = ((pixels.float() - MEAN) / STD).to(self._dtype).contiguous(memory_format=torch.channels_last)
        found = self._network.explain(inputs)
        return torch.cat([found.logits, found.features, found.maps.flatten(1)], 1).float()


class _Lane:
    """Fixed memory for one batch size, and on a GPU the CUDA graph that reads and writes it."""

    def __init__(self, forward: Callable[[Tensor], Tensor], shape: tuple[int, ...], device: torch.device) -> None:
        gpu = device.type == "cuda"
        self._forward = forward
        self._host = torch.zeros(shape, dtype=torch.uint8, pin_memory=gpu)  # pinned: the upload need not wait
        self._pixels = self._host.to(device)  # on a CPU the very same memory
        self._graph = torch.cuda.CUDAGraph() if gpu else None
        if self._graph:
            warm_up = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            warm_up.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(warm_up):  # libraries choose their kernels before the capture, not in it
                for _ in range(3):
                    forward(self._pixels)
            torch.cuda.current_stream().wait_stream(warm_up)
            with torch.cuda.graph(self._graph):
                self._answers = forward(self._pixels)

    def run(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Answers of a batch that is at most as long as the lane; the padding is blank."""
        host = self._host.numpy()
        host[: len(batch)], host[len(batch) :] = batch, 0
        if self._graph:
            self._pixels.copy_(self._host, non_blocking=True)
            self._graph.replay()
            answers = self._answers
        else:
            answers = self._forward(self._pixels)
        return np.asarray(answers[: len(batch)].cpu().numpy())
