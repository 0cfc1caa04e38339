"""What `lungct bulk` costs on this machine: listing, scoring in one shard and in several, gathering.

    make bench-bulk                                       # 100,000 files of each kind
    python -P -m lungct_tools.bench.bulk --files 2000

Files are hard links to a few drawn slices, so that many take no room; the disk's own speed is therefore no part of it.
Rates are wall time of all processes together; those of `run` without its start, which is what a run takes that finds
all done. images per CPU-second stands beside that of the pipeline alone on the same files in this process; what the
readers of DICOM files compute is in neither. MB is the largest resident memory of any of the processes, without its
readers.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lungct.engines import choose_engine
from lungct.model.folder import load_model_folder
from lungct.pipeline import Job, Pipeline
from lungct.settings import Settings, count_cores
from lungct_tools import ROOT
from lungct_tools.bench.engines import measure
from lungct_tools.bench.slices import draw_slices
from lungct_tools.commandline import compose, make_parser, positive
from lungct_tools.documents.markdown import tabulate
from lungct_tools.phantom.anatomy import NODULES, draw_slice
from lungct_tools.phantom.files import encode_dicom

COUNT = 16  # different slices
A_FOLDER = 100  # files
BATCH = 32


class Cost(NamedTuple):
    """What some processes took together.

    Attributes:
        wall_s, cpu_s: seconds; of processors without what ended readers used.
        megabytes: of the largest of them.
    """

    wall_s: float
    cpu_s: float
    megabytes: float


def link_files(root: Path, bodies: Sequence[bytes], count: int) -> None:
    """`count` files under `root`, in folders, each a link to one of the bodies."""
    originals = root.with_name(f"{root.name}-originals")
    originals.mkdir()
    for number, body in enumerate(bodies):
        (originals / str(number)).write_bytes(body)
    for number in range(count):
        folder = root / f"{number // A_FOLDER:06}"
        if number % A_FOLDER == 0:
            folder.mkdir(parents=True)
        os.link(originals / str(number % len(bodies)), folder / f"{number:09}")


def run_all(commands: Sequence[Sequence[str]]) -> Cost:
    """Run commands at the same time; RuntimeError where one fails."""
    started = time.perf_counter()
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    used = []
    for process in processes:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        used.append(usage)
    if any(process.returncode not in (0, 1) for process in processes):
        raise RuntimeError("a command failed; what it said stands above")
    cpu_s = sum(usage.ru_utime + usage.ru_stime for usage in used)
    return Cost(time.perf_counter() - started, cpu_s, max(usage.ru_maxrss for usage in used) / 1024)


def measure_limit(bodies: Sequence[bytes], threads: int, seconds: float) -> dict[str, float]:
    """The pipeline alone in this process, on bytes that are in memory."""
    folder = load_model_folder(ROOT / "model_store" / "lung_ct")
    pipeline = Pipeline(folder, choose_engine(folder, "cpu", threads, largest=BATCH), Settings(), threads)
    jobs = [Job({"body": bodies[number % len(bodies)]}, {}) for number in range(BATCH)]
    return measure(lambda: pipeline.score(jobs), BATCH, seconds)


def measure_kind(kind: str, bodies: Sequence[bytes], files: int, seconds: float, folder: Path) -> list[list[str]]:
    """A row for one shard with all cores, and one for a shard a core."""
    scans, manifest, cores = folder / kind, folder / f"{kind}.manifest", count_cores()
    link_files(scans, bodies, files)
    listed = run_all([compose("bulk", "list", scans, manifest)])
    rows = []
    for shards in sorted({1, cores}):
        threads, out = cores // shards, folder / f"{kind}-{shards}"
        limit = measure_limit(bodies, cores, seconds)
        options = ["--threads", threads]
        commands = [compose("bulk", "run", manifest, out, "--shard", f"{n}/{shards}", *options) for n in range(shards)]
        run, start = run_all(commands), run_all(commands)  # the second time all parts stand
        gathered = run_all([compose("bulk", "gather", out)])
        rows.append(
            [
                kind, f"{files:,}", f"{shards} x {threads}", f"{files / listed.wall_s:,.0f}",
                f"{files / (run.wall_s - start.wall_s):.1f} / {files / (run.cpu_s - start.cpu_s):.1f}",
                f"{limit['rate']:.1f} / {limit['per_cpu_second']:.1f}", f"{start.cpu_s / shards:.1f}",
                f"{files / gathered.wall_s:,.0f}",
                " / ".join(f"{cost.megabytes:.0f}" for cost in (listed, run, gathered)),
            ]
        )  # fmt: skip
    return rows


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--files", type=positive, default=100_000, help="of each kind (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=10, help="of the pipeline alone (default %(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=("jpeg", "dicom"), default=("jpeg", "dicom"))
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    args = parser.parse_args()
    drawn = {
        "jpeg": lambda: draw_slices(count=COUNT),
        "dicom": lambda: [encode_dicom(draw_slice(seed, NODULES[seed % 3])) for seed in range(COUNT)],
    }
    header = (
        "kind", "files", "shards x threads", "list, files/s", "run, images/s / per CPU-second",
        "pipeline alone, the same", "start, CPU-seconds a process", "gather, rows/s", "MB: list / run / gather",
    )  # fmt: skip
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in args.kinds:
            rows += measure_kind(kind, drawn[kind](), args.files, args.seconds, Path(folder))
    print(json.dumps([dict(zip(header, row, strict=True)) for row in rows]) if args.json else tabulate(header, rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
