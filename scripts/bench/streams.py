"""Compare how a worker's threads can share the slices of a batch: OpenVINO's streams, and slices a request.

    lungct streams
    lungct streams --engine openvino-fp32 --threads 4 --repeats 10

A stream computes one request at a time, with its share of the threads. A row is so many streams, each given so many
slices a request, so that all together hold the same batch; images/s are forward passes alone, measured in turn, ± is a
95 % interval. The server gives each thread a stream and each request a slice, where a reply is the same to the byte in
any batch and no slice waits until others are decoded; what it gives up or gains by that is what this shows.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import openvino as ov

from lungct.engines import choose_engine
from lungct.engines.openvino import compile_graph, read_graph
from lungct.model.folder import ModelFolder, load_model_folder
from lungct.settings import count_cores
from lungct_tools import ROOT
from lungct_tools.bench.estimate import Sample, estimate, measure_in_turn
from lungct_tools.commandline import make_parser
from lungct_tools.documents.markdown import tabulate

BATCH = 16


def prepare(folder: ModelFolder, precision: str, threads: int, streams: int, slices: int) -> ov.AsyncInferQueue:
    """A queue of so many streams for requests of (slices, 1, S, S) uint8, warm."""
    graph = read_graph(folder, precision)
    graph.reshape([slices, 1, folder.contract.size, folder.contract.size])
    queue = ov.AsyncInferQueue(compile_graph(graph, precision, threads, streams), streams)
    run(queue, slices, folder, 0)
    return queue


def run(queue: ov.AsyncInferQueue, slices: int, folder: ModelFolder, seconds: float) -> Sample:
    """Images a second in batches of BATCH, each batch awaited as the server does."""
    inputs = np.resize(folder.golden.inputs, (slices, *folder.golden.inputs.shape[1:]))
    started, done = perf_counter(), 0
    while done == 0 or perf_counter() - started < seconds:
        for _ in range(max(1, BATCH // slices)):
            queue.start_async([inputs])
        queue.wait_all()
        done += max(BATCH, slices)
    return Sample(done / (perf_counter() - started))


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--engine", help="an OpenVINO engine by name (default: the one that serves here)")
    parser.add_argument("--threads", type=int, default=count_cores(), help="of the worker (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=6, help="(default %(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement (default %(default)s)")
    parser.add_argument("--model", type=Path, default=ROOT / "model_store" / "lung_ct", help="folder (%(default)s)")
    args = parser.parse_args()
    folder = load_model_folder(args.model)
    name = args.engine or choose_engine(folder).name
    if not name.startswith("openvino-"):
        parser.error(f"{name} has no streams; name an engine of OpenVINO's.")
    ways = {}
    for streams in sorted({1, args.threads}):
        for slices in sorted({1, 4, BATCH // streams}):
            queue = prepare(folder, name.removeprefix("openvino-"), args.threads, streams, slices)
            ways[f"{streams} x {slices}"] = partial(run, queue, slices, folder, args.seconds)
    found = measure_in_turn(name, ways, args.repeats)
    served = f"{args.threads} x 1"
    rows = [
        (f"{way} (as served)" if way == served else way, estimate([sample.rate for sample in samples]).show(0))
        for way, samples in found.items()
    ]
    print(tabulate((f"streams x slices a request, {name}, {args.threads} threads", "images/s"), rows))
    return 0
