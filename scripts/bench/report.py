"""A result as markdown: the page docs/benchmark.md and the part of README between its markers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scripts.bench.estimate import estimate
from scripts.bench.growth import CALLERS
from scripts.bench.rates import LIMIT
from scripts.bench.targets import CLASSES, Verdict, judge, ratio, tell_stages
from scripts.markdown import tabulate

Result = Mapping[str, Any]
OPEN, CLOSE = "<!-- make bench -->", "<!-- end of make bench -->"


def write_readme_part(result: Result) -> str:
    """The targets, each met or missed and why, and where the time of a slice goes."""
    rows = [(v.name, v.target, v.reached, _show(v)) for v in judge(result)]
    parts = [
        _describe(result),
        tabulate(("", "target", "reached", ""), rows),
        f"With 32 callers {tell_stages(result, 'classes, 32 callers')}.",
    ]
    if len(result.get("settings", ())) > 1:
        parts.append(f"Of the settings tried, the best over 1 to 64 callers: {result['best_settings']}.")
    return "\n\n".join(parts)


def _show(verdict: Verdict) -> str:
    if verdict.met is None:
        return "not measured"
    return "met" if verdict.met else f"missed: {verdict.why}"


def fill_readme(text: str, part: str) -> str:
    """README with the part between the markers replaced; ValueError without them."""
    filled, count = re.subn(f"{OPEN}.*?{CLOSE}", lambda _: f"{OPEN}\n{part}\n{CLOSE}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"README.md has no place for the table: {OPEN} ... {CLOSE}.")
    return filled


def write_page(result: Result) -> str:
    """The whole result."""
    parts = [
        "# Benchmark",
        "Made by `make bench`; do not edit. Raw numbers: [benchmark.json](benchmark.json).",
        _describe(result),
        "![Rates](benchmark.png)",
        tabulate(("", "images/s", "of the in-process limit", "p50 / p95 / p99 ms", "errors"), _list_rates(result)),
        "In-process latencies are those of a whole batch.",
        "## Batch x threads, in-process, images/s\n\n" + tabulate(("batch x threads", "images/s"), _matrix(result)),
        "## Fixed arrival rate\n\n"
        "Served classes; requests leave on schedule whatever the answers do, latency counts from when each was due.\n"
        f"The load generator takes {result['open'][0]['load_ms']:.2f} ms of CPU a request here and "
        f"{result['rates'][CLASSES]['load_ms']:.2f} ms in the closed loop above.\n\n"
        + tabulate(("arrivals/s", "of the served rate", "answers/s", "p50 / p95 / p99 ms", "errors"), _open(result)),
        "## Where the time of a slice goes, ms\n\n![Stages](benchmark-stages.png)\n\n" + _stages(result),
        f"TorchServe with an empty handler takes {result['empty_ms']:.1f} ms for the same upload, one caller, median.",
    ]
    if "settings" in result:
        header = ("", *(f"{callers} caller{'s' if callers > 1 else ''}" for callers in CALLERS))
        parts.append("## Settings, images/s (p50 ms)\n\n" + tabulate(header, _settings(result)))
    parts.append("## Growth\n\n![Growth](benchmark-growth.png)\n\n" + _sides(result))
    if "cold" in result:
        rows = [(name, estimate(times).show(1)) for name, times in result["cold"].items()]
        parts.append("## Cold start\n\n" + tabulate(("until the first good reply after", "s"), rows))
    return "\n\n".join(parts) + "\n"


def _describe(result: Result) -> str:
    machine = result["machine"]
    turns = f"ways in turn, {result['repeats']} times; ± is a 95 % interval"
    return (
        f"{result['date']}, {machine['processor']}, {machine['cores']} cores, load generator on the same ones; "
        f"Python {machine['python']}, torch {machine['torch']}; engine {result['engine']}; {machine['slices']}; "
        f"{'a quick run of one repeat, without intervals' if result['quick'] else turns}."
    )


def _join(latency: Sequence[float]) -> str:
    return " / ".join(f"{value:.0f}" if value >= 20 else f"{value:.1f}" for value in latency)


def _list_rates(result: Result) -> Iterable[Sequence[str]]:
    for name, found in result["rates"].items():
        latency = [sum(values) / len(values) for values in zip(*found["latency_ms"], strict=True)]
        share = ratio(result, name, LIMIT).show(2)
        yield name, estimate(found["rate"]).show(1), share, _join(latency), str(found["errors"])


def _matrix(result: Result) -> Iterable[Sequence[str]]:
    for name, rates in result["matrix"].items():
        chosen = name == result["limit"]
        yield f"**{name}**" if chosen else name, f"{estimate(rates).mean:.1f}"


def _open(result: Result) -> Iterable[Sequence[str]]:
    for row in result["open"]:
        yield (
            f"{row['asked']:.0f}", f"{row['share']:.1f}", f"{row['rate']:.1f}", _join(row["latency_ms"]),
            str(row["errors"]),
        )  # fmt: skip


def _stages(result: Result) -> str:
    names = list(next(iter(result["stages"].values())))
    rows = [(kind, *(f"{parts[name]:.2f}" for name in names)) for kind, parts in result["stages"].items()]
    return tabulate(("", *names), rows)


def _settings(result: Result) -> Iterable[Sequence[str]]:
    for name, by_callers in result["settings"].items():
        yield name, *(f"{found['rate']:.0f} ({found['p50']:.0f})" for found in by_callers.values())


def _sides(result: Result) -> str:
    ways = result["sides"]
    sides = list(next(iter(ways.values())))
    rows = [(way, *(f"{found[side]:.0f}" for side in sides)) for way, found in ways.items()]
    return tabulate(("images/s by side of the picture", *sides), rows)
