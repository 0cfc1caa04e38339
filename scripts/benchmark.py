"""Measure the server against the same pipeline in this process, in one run on the same slices.

    make bench
    python scripts/benchmark.py --seconds 20 --repeats 5 --concurrency 1 16 32

Starts a server of its own on free ports. Writes .run/bench/result.json and result.md. Rates depend on the machine and
on what else it does: quote ratios of one run.
"""

from __future__ import annotations

import io
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

import torch
from lungct.engine import choose_engine
from lungct.model import load_model_folder
from lungct.pipeline import Job, Pipeline
from lungct.settings import Settings
from lungct.window import LUNG
from PIL import Image
from rich.progress import Progress

from scripts.anatomy import NODULES, draw_slice
from scripts.client import Client
from scripts.instance import ROOT, Instance, make_parser

OPTIONS: dict[str, dict[str, str]] = {
    "classes": {},
    "classes + grids": {"heatmap": "always", "heatmap_format": "grid"},
    "classes + JPEG overlay": {"heatmap": "always", "heatmap_format": "jpeg"},
    "classes + PNG overlay": {"heatmap": "always", "heatmap_format": "png"},
}
BATCH = 16


@dataclass(frozen=True)
class Row:
    """One measured way of scoring: medians over the repeats, with the least and the largest rate.

    Attributes:
        rate: images/s, (least, median, largest).
        latency_ms: median, 95th and 99th percentile of single requests; None in-process.
        ratio: median over the repeats of this rate by the in-process rate of the same repeat.
    """

    name: str
    concurrency: int
    rate: tuple[float, float, float]
    ratio: float
    latency_ms: tuple[float, float, float] | None
    errors: int


@dataclass(frozen=True)
class Sample:
    """One measurement of one way."""

    rate: float
    latencies_s: list[float]
    errors: int


def make_slices(number: int) -> list[bytes]:
    """Different synthetic slices, 512 x 512, as JPEG files of about 140 kB."""
    files = []
    for seed in range(number):
        stream = io.BytesIO()
        Image.fromarray(LUNG.render(draw_slice(seed, NODULES[seed % 3]))).save(stream, "JPEG", quality=95)
        files.append(stream.getvalue())
    return files


def measure_in_process(pipeline: Pipeline, slices: list[bytes], seconds: float) -> Sample:
    """Batches of BATCH through the pipeline of the handler, decoding included."""
    jobs = [Job({"body": slices[i % len(slices)]}, {}) for i in range(BATCH)]
    started, done = time.perf_counter(), 0
    while time.perf_counter() < started + seconds:
        done += sum(reply.status == 200 for reply in pipeline.score(jobs).replies)
    return Sample(done / (time.perf_counter() - started), [], 0)


def measure_served(
    client: Client, slices: list[bytes], seconds: float, concurrency: int, options: dict[str, str]
) -> Sample:
    """A closed loop: each of `concurrency` callers sends the next slice when its answer is there."""
    numbers = count()
    latencies: list[float] = []
    failures: list[str] = []
    ends = time.perf_counter() + seconds

    def call(_: int) -> None:
        while (started := time.perf_counter()) < ends:
            try:
                client.predict(slices[next(numbers) % len(slices)], **options)
            except Exception as error:  # noqa: BLE001 -- every failure counts, whatever it is
                failures.append(repr(error))
            else:
                latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(call, range(concurrency)))
    return Sample(len(latencies) / (time.perf_counter() - started), latencies, len(failures))


@contextmanager
def serve(run: Path) -> Iterator[Client]:
    """A server on free ports for the time of the benchmark."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(5)]
    ports = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    script = str(ROOT / "scripts" / "{}.py")
    subprocess.run([sys.executable, script.format("serve"), "--run", run, "--ports", *ports], check=True)
    try:
        yield Client(Instance.read(run), deadline_s=0)
    finally:
        subprocess.run([sys.executable, script.format("stop"), "--run", run], check=True)


def summarise(name: str, concurrency: int, samples: list[Sample], reference: list[Sample]) -> Row:
    """Medians over the repeats; ratios repeat by repeat, so that a drifting machine cancels out."""
    rates = sorted(sample.rate for sample in samples)
    latencies = sorted(1000 * each for sample in samples for each in sample.latencies_s)
    return Row(
        name,
        concurrency,
        (rates[0], statistics.median(rates), rates[-1]),
        statistics.median(s.rate / r.rate for s, r in zip(samples, reference, strict=True)),
        tuple(latencies[int(q * (len(latencies) - 1))] for q in (0.5, 0.95, 0.99)) if latencies else None,
        sum(sample.errors for sample in samples),
    )


def run_all(client: Client, pipeline: Pipeline, args: object) -> list[Row]:
    """Every way in turn, `repeats` times."""
    slices = make_slices(16)
    ways: dict[tuple[str, int], Callable[[], Sample]] = {
        ("in-process", BATCH): lambda: measure_in_process(pipeline, slices, args.seconds)
    }
    for concurrency in args.concurrency:
        for name, options in OPTIONS.items():
            ways[f"served {name}", concurrency] = lambda c=concurrency, o=options: measure_served(
                client, slices, args.seconds, c, o
            )
    found: dict[tuple[str, int], list[Sample]] = {way: [] for way in ways}
    with Progress() as progress:
        task = progress.add_task("Measuring", total=len(ways) * (args.repeats + 1))
        for repeat in range(args.repeats + 1):
            for way, measure in ways.items():
                sample = measure()
                if repeat:  # the first round warms up
                    found[way].append(sample)
                progress.advance(task)
    reference = found["in-process", BATCH]
    return [summarise(name, concurrency, samples, reference) for (name, concurrency), samples in found.items()]


def write_table(rows: list[Row], engine: str, args: object) -> str:
    """The result as a markdown table with machine and settings."""
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, {_processor()}; Python {platform.python_version()}, "
        f"torch {torch.__version__}; engine {engine}; {args.repeats} repeats of {args.seconds:g} s",
        "",
        "| | concurrency | images/s (least-largest) | of in-process | p50 / p95 / p99 ms | errors |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, middle, high = row.rate
        latency = " / ".join(f"{value:.0f}" for value in row.latency_ms) if row.latency_ms else "-"
        lines.append(
            f"| {row.name} | {row.concurrency} | {middle:.1f} ({low:.1f}-{high:.1f}) | {row.ratio:.2f} | {latency} "
            f"| {row.errors} |"
        )
    return "\n".join(lines) + "\n"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="after one warm-up round (default %(default)s)")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16], help="callers (default 1 16)")
    parser.add_argument("--out", type=Path, default=ROOT / ".run" / "bench", help="folder of the results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    folder = load_model_folder(ROOT / "model_store" / "lung_ct")
    pipeline = Pipeline(folder, choose_engine(folder, torch.device("cpu")), Settings(), threads)
    with serve(args.out / "server") as client:
        rows = run_all(client, pipeline, args)
        engine = client.contract()["engine"]
    table = write_table(rows, engine, args)
    (args.out / "result.md").write_text(table)
    (args.out / "result.json").write_text(json.dumps([asdict(row) for row in rows], indent=2))
    print(table)
    return 1 if any(row.errors for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
