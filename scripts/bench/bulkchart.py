"""What `lungct bulk` costs, as a picture: processor time and memory by files and shards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from lungct_tools.bench.charts import PEER

if TYPE_CHECKING:
    from lungct_tools.bench.bulk import Trial

MOST_MB = 350  # of a process


def draw_costs(trials: Sequence[Trial]) -> Figure:
    """CPU-seconds of all steps for 1,000 files, and the largest process of each step in MB, both against files."""
    figure = Figure((9, 3.4), layout="constrained")
    by_cost, by_memory = figure.subplots(1, 2)
    by_way = sorted(trials, key=attrgetter("kind", "shards", "files"))
    for (kind, shards), some in groupby(by_way, key=attrgetter("kind", "shards")):
        row = list(some)
        files = [trial.files for trial in row]
        cpu_s = [sum(cost.cpu_s for cost in (trial.listed, trial.run, trial.gathered)) for trial in row]
        name = f"{kind}, {shards} shard{'s'[: shards > 1]}"
        by_cost.plot(files, [1000 * s / count for s, count in zip(cpu_s, files, strict=True)], marker="o", label=name)
        by_memory.plot(files, [trial.run.megabytes for trial in row], marker="o", label=f"run, {name}")
    by_memory.axhline(MOST_MB, color=PEER, linestyle=":", label="limit")
    for axes, title in ((by_cost, "CPU-seconds for 1,000 files: list, run, gather"), (by_memory, "MB of a process")):
        axes.margins(y=0.15)
        axes.set(xlabel="files", ylabel=title, xscale="log", ylim=(0, None))
        axes.legend(frameon=False)
    return figure
