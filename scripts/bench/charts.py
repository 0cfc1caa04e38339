"""A result as pictures: rates, stages, growth, formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lungct_tools.bench.estimate import estimate

Result = Mapping[str, Any]
PEER, OURS, BASE = "tab:gray", "tab:blue", "tab:cyan"

mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 110})


def draw_charts(result: Result, folder: Path) -> None:
    """Write benchmark.png, benchmark-stages.png and benchmark-growth.png into `folder`."""
    draw_rates(result).savefig(folder / "benchmark.png")
    draw_stages(result).savefig(folder / "benchmark-stages.png")
    draw_growth(result).savefig(folder / "benchmark-growth.png")


def draw_rates(result: Result) -> Figure:
    """One bar a way, with its interval."""
    ways = {**result["rates"], **{name: each for name, each in result["beside"].items() if name not in result["rates"]}}
    names = list(ways)
    found = [estimate(each["rate"]) for each in ways.values()]
    colours = [OURS if "served" in name else BASE if "in-process" in name else PEER for name in names]
    figure = Figure((8, 0.3 * len(names) + 0.9), layout="constrained")
    axes = figure.subplots()
    halves = np.nan_to_num([each.half for each in found])  # a single repeat has no interval
    bars = axes.barh(names, [each.mean for each in found], xerr=halves, color=colours)
    axes.bar_label(bars, fmt="%.0f", padding=4)
    axes.invert_yaxis()
    axes.set_xlabel(f"images/s, 95 % interval ({result['engine']}, {result['machine']['cores']} cores)")
    return figure


def draw_stages(result: Result) -> Figure:
    """Stacked bars: the wall time of a slice by stage."""
    kinds = list(result["stages"])
    figure = Figure((8, 0.4 * len(kinds) + 1.1), layout="constrained")
    axes = figure.subplots()
    left = [0.0] * len(kinds)
    for stage in result["stages"][kinds[0]]:
        widths = [result["stages"][kind][stage] for kind in kinds]
        axes.barh(kinds, widths, left=left, label=stage)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("wall time a slice, ms")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=4, frameon=False)
    return figure


def draw_growth(result: Result) -> Figure:
    """Rate and median latency against callers for each worker layout and batch, and against the picture's side."""
    figure = Figure((9, 6.4), layout="constrained")
    rows = figure.subplots(2, 2)
    for (by_rate, by_latency), ways, across in zip(
        rows, (result["settings"], result["sides"]), ("callers", "side of the picture, pixels"), strict=True
    ):
        for axes, value, up in ((by_rate, "rate", "images/s"), (by_latency, "p50", "p50, ms")):
            for name, by_size in ways.items():
                _draw_line(axes, {size: each[value] for size, each in by_size.items()}, name)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:.0f}")
            axes.set_ylim(bottom=0)
            axes.set_xlabel(across)
            axes.set_ylabel(up)
        by_latency.legend(frameon=False)
    return figure


def draw_formats(result: Result) -> Figure:
    """Bars of what reading one file of each format takes, here and at the start, and its codec alone."""
    labels = {"start": ("at the start", PEER), "ours": ("now", OURS), "codec": ("the codec alone", BASE)}
    reading = result["reading"]
    shown = {who: label for who, label in labels.items() if any(who in found for found in reading.values())}
    figure = Figure((8, 0.55 * len(reading) + 1.1), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(shown)
    for turn, (who, (label, colour)) in enumerate(shown.items()):
        found = {at: estimate(each[who]["ms"]) for at, each in enumerate(reading.values()) if who in each}
        places = [at + (turn - (len(shown) - 1) / 2) * height for at in found]
        halves = np.nan_to_num([each.half for each in found.values()])
        bars = axes.barh(places, [each.mean for each in found.values()], height, xerr=halves, color=colour, label=label)
        axes.bar_label(bars, fmt="%.1f", padding=4)
    axes.set_yticks(range(len(reading)), list(reading))
    axes.invert_yaxis()
    axes.set_xlabel("reading one file of 512 x 512 pixels, ms, 95 % interval")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
    return figure


def _draw_line(axes: Axes, samples: Mapping[str, Sequence[float]], name: str) -> None:
    """Means with their intervals."""
    found = [estimate(values) for values in samples.values()]
    halves = np.nan_to_num([each.half for each in found])
    across = [int(each) for each in samples]
    axes.errorbar(across, [each.mean for each in found], halves, marker=".", capsize=2, label=name)
