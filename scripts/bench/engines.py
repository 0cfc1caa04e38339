"""Compare the engines that run on this machine: rate, work and memory, each in processes of its own.

    lungct engines
    lungct engines --engines openvino-fp32 torch --seconds 10

A row is so many workers with so many threads each. "forward" scores prepared slices in batches of 16; "pipeline" is the
handler's own, from JPEG bytes to JSON. images/s is wall time of all workers together; images per CPU-second says what
a slice costs, and hardly changes when other programs want the cores. MB is the resident memory of one worker's process.

Where nvidia-smi finds a GPU, a second table measures torch-gpu on the first one: batches of 1 to 256, 1 and 2 workers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.progress import track

from lungct.engines import TOLERANCES, choose_engine
from lungct.model.folder import load_model_folder
from lungct.pipeline import Job, Pipeline
from lungct.settings import Settings, count_cores
from lungct_tools import ROOT
from lungct_tools.bench.slices import draw_slices
from lungct_tools.commandline import compose, make_parser
from lungct_tools.documents.markdown import tabulate

BATCH = 16
GPU, GPU_BATCHES, GPU_WORKERS = "torch-gpu", (1, 4, 16, 64, 256), (1, 2)


class Setup(NamedTuple):
    """Workers of one kind that are measured at the same time."""

    name: str
    workers: int
    threads: int
    batch: int = BATCH


def list_cards() -> list[str]:
    """Name and driver of each GPU by nvidia-smi; none where it is missing or fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if done.returncode else done.stdout.splitlines()


def measure(work: Callable[[], object], batch: int, seconds: float) -> dict[str, float]:
    """Slices a second and a CPU-second of `work`, which scores one batch; the first batch does not count."""
    work()
    started, busy, done = time.perf_counter(), time.process_time(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        work()
        done += batch
    return {"rate": done / elapsed, "per_cpu_second": done / (time.process_time() - busy)}


def run_worker(name: str, threads: int, batch: int, seconds: float, model: Path) -> dict[str, Any]:
    """What one worker reaches; meant for a fresh process, because its memory counts."""
    folder = load_model_folder(model)
    engine = choose_engine(folder, "cuda:0" if name == GPU else "cpu", threads, name, batch)
    inputs = np.repeat(folder.golden.inputs, batch, axis=0)[:batch]
    forward = measure(lambda: engine.predict(inputs), batch, seconds)
    pipeline = Pipeline(folder, engine, Settings(), threads)
    bodies = draw_slices(count=min(batch, BATCH))
    jobs = [Job({"body": bodies[i % len(bodies)]}, {}) for i in range(batch)]
    whole = measure(lambda: pipeline.score(jobs), batch, seconds)
    resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6
    return {"engine": engine.name, "forward": forward, "pipeline": whole, "megabytes": resident}


def run_workers(setup: Setup, seconds: float, model: Path) -> dict[str, Any]:
    """The workers' rates added up, the rest on average.

    Raises:
        RuntimeError: a worker failed, such as for an engine that this machine or model folder does not have.
    """
    name, workers, threads, batch = setup
    options = ["--worker", name, "--threads", threads, "--batch", batch, "--seconds", seconds, "--model", model]
    command = compose("engines", *options)
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(workers)
    ]
    ended = [(process.communicate(), process.returncode) for process in started]
    if faults := [errors.strip().splitlines()[-1] for (_, errors), code in ended if code]:
        raise RuntimeError(faults[0])
    found = [json.loads(output) for (output, _), _ in ended]
    rates = {
        f"{way} {key}": sum(each[way][key] for each in found) / (1 if key == "rate" else workers)
        for way in ("forward", "pipeline")
        for key in ("rate", "per_cpu_second")
    }
    return {"engine": found[0]["engine"], **rates, "megabytes": sum(each["megabytes"] for each in found) / workers}


def main() -> int:
    cores = count_cores()
    parser = make_parser(__doc__)
    cards = list_cards()
    names = [name for name in TOLERANCES if name != GPU or cards]
    parser.add_argument("--engines", nargs="+", choices=names, default=names, help="(default: all)")
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement (default %(default)s)")
    parser.add_argument("--model", type=Path, default=ROOT / "model_store" / "lung_ct", help="folder (%(default)s)")
    parser.add_argument("--worker", choices=names, help="be one worker with this engine and print JSON")
    parser.add_argument("--threads", type=int, default=cores, help="of --worker (default %(default)s)")
    parser.add_argument("--batch", type=int, default=BATCH, help="of --worker (default %(default)s)")
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(run_worker(args.worker, args.threads, args.batch, args.seconds, args.model)))
        return 0
    splits = [(1, 1), *([(1, cores), (cores, 1)] if cores > 1 else [])]
    setups = [Setup(name, *split) for name in args.engines if name != GPU for split in splits]
    if GPU in args.engines:
        setups += [Setup(GPU, n, max(1, cores // n), batch) for n in GPU_WORKERS for batch in GPU_BATCHES]
    rows, gpu_rows, missing = [], [], []
    for setup in track(setups, "Measuring"):
        try:
            row = run_workers(setup, args.seconds, args.model)
        except RuntimeError as fault:
            missing.append(f"{setup.name}: {fault}")
            continue
        rates = [f"{row[f'{way} rate']:.0f} / {row[f'{way} per_cpu_second']:.0f}" for way in ("forward", "pipeline")]
        cells = (row["engine"], f"{setup.workers} x {setup.threads}", *rates, f"{row['megabytes']:.0f}")
        if setup.name == GPU:
            gpu_rows.append((str(setup.batch), *cells))
        else:
            rows.append(cells)
    header = ("engine", "workers x threads", "forward, images/s / per CPU-second", "pipeline, the same", "MB a worker")
    if rows:
        print(tabulate(header, rows))
    if gpu_rows:
        print(f"\n{cards[0]}\n\n{tabulate(('batch', *header), gpu_rows)}")
    for line in sorted(set(missing)):
        print(f"not measured: {line}")
    return 0 if rows or gpu_rows else 1
