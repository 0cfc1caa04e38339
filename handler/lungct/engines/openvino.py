"""The network on a CPU by OpenVINO: one slice a request, as many at once as there are threads."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
import openvino as ov

from lungct.engines.graph import OUTPUTS, build_graph
from lungct.engines.interface import Prediction
from lungct.model import QUANTISED, QUANTISED_WEIGHTS, ModelFolder, fold_batchnorm

PRECISIONS = {  # of what is not quantised
    "int8-bf16": ov.Type.bf16,
    "int8": ov.Type.f32,
    "bf16": ov.Type.bf16,
    "fp32": ov.Type.f32,
}
_mapped: list[mmap.mmap] = []  # files that graphs were read from, for good: no graph or program holds on to them


def has_bf16() -> bool:
    """Whether this processor computes in bf16 by itself, instead of by way of fp32."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoEngine:
    """The folded graph in bf16 or fp32, or the quantised one with the rest in either.

    Several slices run side by side, one thread each. A single one would leave the other threads idle, so it has a
    second copy of the program that splits it over all of them; the bytes are the same.
    """

    def __init__(self, folder: ModelFolder, precision: str = "fp32", threads: int = 1) -> None:
        """Compile the graph.

        Args:
            folder: a verified model folder.
            precision: one of PRECISIONS.
            threads: CPU threads to use.

        Raises:
            RuntimeError: the processor has no such precision, or the folder no quantised graph.
        """
        self.name = self.kind = f"openvino-{precision}"
        if PRECISIONS[precision] == ov.Type.bf16 and not has_bf16():
            raise RuntimeError(
                f"This processor does not compute in bf16, so it has no {self.name}; choose engine auto."
            )
        graph = read_graph(folder, precision)
        self._together = ov.AsyncInferQueue(compile_graph(graph, precision, threads, streams=threads))
        self._alone = compile_graph(graph, precision, threads, streams=1).create_infer_request()
        for file in _mapped:
            # Each program has a copy of its own, in the order that the processor wants; the file's pages only lie
            # there. One that is read after all comes back from the file: 33 MB less, of which 1 comes back.
            file.madvise(mmap.MADV_DONTNEED)
        self._side = folder.contract.size
        self._lock = Lock()  # a request object holds one slice at a time

    def predict(self, inputs: Iterable[npt.NDArray[np.uint8]]) -> Prediction:
        """(1, S, S) uint8 each -> Prediction of as many rows; a row does not depend on the others, to the byte.

        A slice is on its way as soon as it is drawn, while the iterator makes the next. May be called from several
        threads; they take turns.
        """
        drawn = enumerate(inputs)
        found: dict[int, list[npt.NDArray[np.float32]]] = {}

        def store(request: ov.InferRequest, row: int) -> None:
            found[row] = [request.get_tensor(name).data[0].copy() for name in OUTPUTS]

        with self._lock:
            first = list(islice(drawn, 2))
            if len(first) == 1:
                self._alone.infer([first[0][1][None]])
                store(self._alone, 0)
            else:
                self._together.set_callback(store)
                try:
                    for row, pixels in chain(first, drawn):
                        self._together.start_async([pixels[None]], row)
                finally:  # or a slice still on its way would answer for one of the next batch
                    self._together.wait_all()
        return Prediction(*map(np.stack, zip(*(found[row] for row in range(len(found))), strict=True)))

    def warm(self, largest: int) -> None:
        """Run the program for a lone slice; the other one had the golden answers to give, and knows no sizes."""
        self.predict(np.zeros((1, 1, self._side, self._side), np.uint8))


def read_graph(folder: ModelFolder, precision: str) -> ov.Model:
    """The graph of a precision, (1, 1, S, S) uint8 in; RuntimeError where the folder holds no quantised one."""
    if not precision.startswith("int8"):
        return build_graph(fold_batchnorm(folder.read_weights()), folder.contract.size, folder.contract.pooling)
    if QUANTISED not in folder.contract.files:
        raise RuntimeError("The model folder holds no int8 graph; `make quantize` adds one, engine auto needs none.")
    weights = ov.Tensor(np.frombuffer(_map(folder.path / QUANTISED_WEIGHTS), np.uint8), shared_memory=True)
    return ov.Core().read_model((folder.path / QUANTISED).read_text("utf-8"), weights)


def _map(path: Path) -> mmap.mmap:
    """The bytes of a file in memory of this process alone: OpenVINO takes only what could be written to."""
    with path.open("rb") as opened:
        _mapped.append(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_COPY))
    return _mapped[-1]


def compile_graph(graph: ov.Model, precision: str, threads: int, streams: int) -> ov.CompiledModel:
    """A program of so many streams, each of which computes a request of its own with its share of the threads."""
    options = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,  # or every worker of the machine would take the same cores
    }
    return ov.Core().compile_model(graph, "CPU", options)
