"""The network by torch: on a GPU in half precision at fixed batch sizes, on a CPU in fp32 as the reference."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lungct.engines.interface import Prediction
from lungct.model import FEATURES, MEAN, STD, ModelFolder
from lungct.model.network import fold_for_inference

GPU_BUCKETS = (1, 4, 8, 16, 32, 64, 128, 256)
AT_ONCE = 256  # slices, where no bucket sets another limit
PRECISIONS = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32"}


class TorchEngine:
    """The folded network, channels_last.

    With buckets a batch is padded to the next one: on a GPU each has its CUDA graph, so a batch costs one upload of
    bytes, one launch and one download. Without buckets every batch size stands for itself.
    """

    def __init__(
        self,
        folder: ModelFolder,
        device: torch.device | str = "cpu",
        threads: int = 0,
        buckets: Sequence[int] = (),
        dtype: torch.dtype | None = None,
    ) -> None:
        """Put the network on a device.

        Args:
            folder: a verified model folder.
            device: "cpu" or a GPU.
            threads: CPU threads that torch may use in this process; 0 leaves it as it is.
            buckets: batch sizes, ascending; none: GPU_BUCKETS on a GPU, no padding on a CPU.
            dtype: one of PRECISIONS; none: fp32 on a CPU and fp16 on a GPU, which is closer to fp32 than bf16 is (on 30
                phantoms logits differ by at most 0.007, against 0.030; a test holds both to it).
        """
        if threads:
            torch.set_num_threads(threads)
        self._device = torch.device(device)
        gpu = self._device.type == "cuda"
        if gpu:
            torch.cuda.set_device(self._device.index or 0)  # streams and graphs are made on the present device
            torch.backends.cudnn.benchmark = True  # shapes are few and fixed: the warm-up pays for the search
            torch.backends.cudnn.allow_tf32 = False  # the evidence, in fp32, is to add up to the logit
        self._dtype = dtype or (torch.float16 if gpu else torch.float32)
        network = fold_for_inference(folder.read_weights(), folder.contract.pooling)
        self._network = network.to(self._device, memory_format=torch.channels_last)
        for part in network.children():
            if part is not network.fc:  # stays in fp32, see LungResNet18.explain
                part.to(self._dtype)
        self._buckets = tuple(buckets) or (GPU_BUCKETS if gpu else ())
        self._lanes: dict[int, _Lane] = {}
        self._classes = len(folder.contract.classes)
        shape = (self._buckets[-1] if self._buckets else AT_ONCE, 1, folder.contract.size, folder.contract.size)
        self._lock = Lock()  # one place for inputs
        self._host = torch.zeros(shape, dtype=torch.uint8, pin_memory=gpu)  # pinned: a GPU fetches from it by itself
        self.kind = "torch" if self._dtype == torch.float32 else "torch-gpu"
        self.name = f"torch-{self._device.type}-{PRECISIONS[self._dtype]}"

    @torch.inference_mode()
    def predict(self, inputs: Iterable[npt.NDArray[np.uint8]]) -> Prediction:
        """(1, S, S) uint8 each -> Prediction of as many rows, fp32; more than the largest bucket go in parts.

        A slice is in its place for the network as soon as it is drawn, while the iterator makes the next. May be called
        from several threads; they take turns.
        """
        drawn, parts = iter(inputs), []
        with self._lock:
            while count := self._fill(drawn):
                parts.append(self._run(count))
        answers = np.concatenate(parts)
        logits, features, maps = np.split(answers, [self._classes, self._classes + FEATURES], axis=1)
        cells = math.isqrt(maps.shape[1] // self._classes)
        return Prediction(logits, maps.reshape(len(answers), self._classes, cells, cells), features)

    def warm(self, largest: int) -> None:
        """Run a batch of each size that has a lane of its own; on a GPU that captures its graph."""
        for rows in {1, *(bucket for bucket in self._buckets if bucket < largest), largest}:
            self.predict(np.zeros((rows, *self._host.shape[1:]), np.uint8))

    def _fill(self, drawn: Iterator[npt.NDArray[np.uint8]]) -> int:
        """Draw slices until there is no room or no more; how many there are."""
        count, host = 0, self._host.numpy()
        for count, pixels in enumerate(islice(drawn, len(host)), 1):
            host[count - 1] = pixels
        return count

    def _run(self, count: int) -> npt.NDArray[np.float32]:
        size = next((bucket for bucket in self._buckets if bucket >= count), count)
        if size not in self._lanes:
            self._lanes[size] = _Lane(self._forward, self._host[:size], self._device)
        return self._lanes[size].run(count)

    def _forward(self, pixels: Tensor) -> Tensor:
        """(N, 1, S, S) uint8 -> (N, C + 512 + C*h*w) fp32: all answers in one tensor, so that one copy fetches them."""
        inputs = ((pixels.float() - MEAN) / STD).to(self._dtype).contiguous(memory_format=torch.channels_last)
        found = self._network.explain(inputs)
        return torch.cat([found.logits, found.features, found.maps.flatten(1)], 1)


class _Lane:
    """Fixed memory for one batch size, and on a GPU the CUDA graph that reads and writes it."""

    def __init__(self, forward: Callable[[Tensor], Tensor], host: Tensor, device: torch.device) -> None:
        self._forward = forward
        self._host = host
        self._pixels = host.to(device)  # on a CPU the very same memory
        self._graph = torch.cuda.CUDAGraph() if device.type == "cuda" else None
        if self._graph:
            warm_up = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            warm_up.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(warm_up):  # libraries choose their kernels before the capture, not in it
                for _ in range(3):
                    forward(self._pixels)
            torch.cuda.current_stream().wait_stream(warm_up)
            with torch.cuda.graph(self._graph):
                self._answers = forward(self._pixels)
            self._fetched = torch.empty(self._answers.shape, pin_memory=True)

    def run(self, count: int) -> npt.NDArray[np.float32]:
        """Answers of the first `count` slices in the lane's host memory; the others are blanked."""
        self._host.numpy()[count:] = 0
        if self._graph is None:
            return np.asarray(self._forward(self._pixels)[:count].numpy())
        self._pixels.copy_(self._host, non_blocking=True)
        self._graph.replay()
        self._fetched.copy_(self._answers, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return self._fetched[:count].numpy().copy()  # the next batch writes there
