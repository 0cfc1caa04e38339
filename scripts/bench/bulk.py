"""What `lungct bulk` costs on this machine: listing, scoring in one shard and in several, gathering.

    make bench-bulk                                       # up to 100,000 files of each kind, in hours
    python -P -m lungct_tools.bench.bulk --files 200 2000 --out cost.json

Files are hard links to a few drawn slices, so that many take no room; the disk's own speed is therefore no part of it.
Rates are wall time of all processes together; those of `run` without its start, which is what a run takes that finds
all done. images per CPU-second stands beside that of the pipeline alone on the same files in this process; what the
readers of DICOM files compute is in neither. MB is the largest resident memory of any of the processes, without its
readers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

from lungct.engines import choose_engine
from lungct.model.folder import load_model_folder
from lungct.pipeline import Job, Pipeline
from lungct.settings import Settings, count_cores
from lungct_tools import ROOT
from lungct_tools.bench.bulkchart import draw_costs
from lungct_tools.bench.engines import measure
from lungct_tools.bench.slices import draw_slices
from lungct_tools.commandline import compose, make_parser, positive
from lungct_tools.documents.markdown import tabulate
from lungct_tools.phantom.anatomy import NODULES, draw_slice
from lungct_tools.phantom.files import encode_dicom

COUNT = 16  # different slices
KINDS: dict[str, Callable[[], list[bytes]]] = {
    "jpeg": lambda: draw_slices(count=COUNT),
    "dicom": lambda: [encode_dicom(draw_slice(seed, NODULES[seed % 3])) for seed in range(COUNT)],
}
A_FOLDER = 100  # files
BATCH = 32
EVERY_S = 0.05  # a look at the processes that run


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
    originals.mkdir(parents=True)
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
    used, most = [], 0
    waiting = list(processes)
    while waiting:
        # Not what the system tells of an ended process: that counts what its parent held when it began.
        most = max([most, *map(read_peak, waiting)])
        for process in list(waiting):
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                used.append(usage)
                waiting.remove(process)
        time.sleep(EVERY_S)
    if any(process.returncode not in (0, 1) for process in processes):
        raise RuntimeError("a command failed; what it said stands above")
    cpu_s = sum(usage.ru_utime + usage.ru_stime for usage in used)
    return Cost(time.perf_counter() - started, cpu_s, most / 1024)


def read_peak(process: subprocess.Popen[bytes]) -> int:
    """The most that a process has had in memory so far, kB; 0 for one that has just ended."""
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found else 0


def find_limit(bodies: Sequence[bytes], threads: int) -> Callable[[float], dict[str, float]]:
    """What measures the pipeline alone in this process for some seconds, on bytes that are in memory."""
    folder = load_model_folder(ROOT / "model_store" / "lung_ct")
    pipeline = Pipeline(folder, choose_engine(folder, "cpu", threads, largest=BATCH), Settings(), threads)
    jobs = [Job({"body": bodies[number % len(bodies)]}, {}) for number in range(BATCH)]
    return partial(measure, lambda: pipeline.score(jobs), BATCH)


class Trial(NamedTuple):
    """What some files of one kind cost in so many shards.

    Attributes:
        threads: of each shard.
        limit: of the pipeline alone with all cores: images a second ("rate") and a CPU-second ("per_cpu_second").
        listed, run, start, gathered: `run` with its start, which is what it takes where all parts stand.
    """

    kind: str
    files: int
    shards: int
    threads: int
    limit: dict[str, float]
    listed: Cost
    run: Cost
    start: Cost
    gathered: Cost

    def row(self) -> list[str]:
        """The line of the table."""
        wall_s, cpu_s = self.run.wall_s - self.start.wall_s, self.run.cpu_s - self.start.cpu_s
        return [
            self.kind, f"{self.files:,}", f"{self.shards} x {self.threads}", f"{self.files / self.listed.wall_s:,.0f}",
            f"{self.files / wall_s:.1f} / {self.files / cpu_s:.1f}",
            f"{self.limit['rate']:.1f} / {self.limit['per_cpu_second']:.1f}", f"{self.start.cpu_s / self.shards:.1f}",
            f"{self.files / self.gathered.wall_s:,.0f}",
            " / ".join(f"{cost.megabytes:.0f}" for cost in (self.listed, self.run, self.gathered)),
        ]  # fmt: skip


HEADER = (
    "kind", "files", "shards x threads", "list, files/s", "run, images/s / per CPU-second",
    "pipeline alone, the same", "start, CPU-seconds a process", "gather, rows/s", "MB: list / run / gather",
)  # fmt: skip


def measure_files(kind: str, files: int, shards: Sequence[int], seconds: float, folder: Path) -> Iterator[Trial]:
    """A trial for each number of shards, which have the cores together."""
    bodies, cores = KINDS[kind](), count_cores()
    scans, manifest = folder / f"{kind}-{files}", folder / f"{kind}-{files}.manifest"
    link_files(scans, bodies, files)
    listed = run_all([compose("bulk", "list", scans, manifest)])
    for count in shards:
        threads, out = max(1, cores // count), folder / f"{kind}-{files}-{count}"
        limit = find_limit(bodies, cores)(seconds)
        words = ("bulk", "run", manifest, out, "--threads", threads)
        commands = [compose(*words, "--shard", f"{index}/{count}") for index in range(count)]
        run, start = run_all(commands), run_all(commands)  # the second time all parts stand
        yield Trial(kind, files, count, threads, limit, listed, run, start, run_all([compose("bulk", "gather", out)]))


def read_trials(path: Path | None) -> list[Trial]:
    """Those of earlier runs that are kept there."""
    if not path or not path.exists():
        return []
    costs = ("listed", "run", "start", "gathered")
    return [Trial(**each | {name: Cost(*each[name]) for name in costs}) for each in json.loads(path.read_text())]


def keep_trials(path: Path | None, trials: Sequence[Trial]) -> None:
    """Write them, and what they cost as a picture of the same name."""
    if path:
        path.write_text(json.dumps([trial._asdict() for trial in trials], indent=1) + "\n")
        draw_costs(trials).savefig(path.with_suffix(".png"))


def main() -> int:
    parser = make_parser(__doc__)
    counts = (1_000, 10_000, 100_000)
    parser.add_argument("--files", type=positive, nargs="+", default=counts, help="of each kind (default %(default)s)")
    parser.add_argument("--shards", type=positive, nargs="+", default=sorted({1, count_cores()}), help="%(default)s")
    parser.add_argument("--seconds", type=float, default=10, help="of the pipeline alone (default %(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=tuple(KINDS))
    parser.add_argument("--out", type=Path, metavar="JSON", help="keep the trials, and draw them beside; goes on there")
    args = parser.parse_args()
    trials = read_trials(args.out)
    with tempfile.TemporaryDirectory() as folder:
        for kind, files in product(args.kinds, args.files):
            for trial in measure_files(kind, files, args.shards, args.seconds, Path(folder)):
                print(*trial.row(), sep=" | ", file=sys.stderr)
                trials.append(trial)
                keep_trials(args.out, trials)
    print(tabulate(HEADER, [trial.row() for trial in trials]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
