"""A result as markdown: the page docs/benchmark.md, and the part of docs/performance.md between its markers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lungct_tools.bench.charts import draw_charts
from lungct_tools.bench.estimate import estimate
from lungct_tools.bench.fronts import HEADER, list_fronts
from lungct_tools.bench.growth import BATCH, find_best
from lungct_tools.bench.layouts import choose_fastest
from lungct_tools.bench.load import LEAD
from lungct_tools.bench.rates import BUSY, LIMIT
from lungct_tools.bench.targets import CLASSES, Verdict, Word, judge, ratio
from lungct_tools.documents.markdown import tabulate

Result = Mapping[str, Any]
MARK = "make bench"  # of the part of the page, in the comments before and after it


def write_summary(result: Result) -> str:
    """The targets, each met, missed or open; once for all of them why, and where the time of a slice goes."""
    verdicts = judge(result)
    whys = list(dict.fromkeys(verdict.why for verdict in verdicts if _asks_why(verdict)))
    rows = [
        (v.name, v.target, v.reached, f"{v.word} ({whys.index(v.why) + 1})" if _asks_why(v) else v.word)
        for v in verdicts
    ]
    parts = [
        _describe(result),
        tabulate(("", "target", "reached", ""), rows),
        "\n".join(f"{number}. {why}" for number, why in enumerate(whys, 1)),
        "Where the time of a slice goes, ms:",
        _stages(result),
        _tell_best(result),
    ]
    return "\n\n".join(filter(None, parts))


def _asks_why(verdict: Verdict) -> bool:
    return bool(verdict.why) and verdict.word != Word.MET


def _tell_best(result: Result) -> str:
    """The best settings for each number of callers, as far as the intervals tell."""
    settings = result["settings"]
    if len(settings) < 2:
        return ""
    said, count = [], len(settings)
    for callers in next(iter(settings.values())):
        best = find_best({name: found[callers]["rate"] for name, found in settings.items()})
        if len(best) < count:
            said.append(f"with {_count(callers)} {' or '.join(best)}")
    if not said:
        return "None of the settings tried is best with any number of callers: their intervals overlap."
    return f"Best of the settings tried: {'; '.join(said)}. Else their intervals overlap, and none is best."


def fill_summary(text: str, part: str, mark: str = MARK) -> str:
    """The page with the part between the comments of a mark replaced; ValueError without them."""
    begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
    filled, count = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{part}\n{end}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"docs/performance.md has no place for the table: {begin} ... {end}.")
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
        "## Beside each other\n\n"
        "What differs by little is measured apart from the others, turn by turn and more often. Those with "
        f"{BUSY} callers are the requests after which memory is looked at, on a server with nothing beside it.\n\n"
        + tabulate(("", "images/s", "p50 / p95 / p99 ms", "times", "errors"), _beside(result)),
        "## Batch x threads, in-process, images/s\n\n"
        "The limits above are the best of these, measured again: the best of many owes something to luck.",
        *_limits(result),
        *_peers(result),
        "## Fixed arrival rate\n\n"
        "Served classes; requests leave on schedule whatever the answers do, latency counts from when each was due.\n"
        f"Answers/s are those that came after the first {LEAD:.0%} of the schedule and before its end.\n"
        f"The load generator takes {result['open'][0]['load_ms']:.2f} ms of CPU a request here and "
        f"{result['rates'][CLASSES]['load_ms']:.2f} ms in the closed loop above.\n\n"
        + tabulate(("arrivals/s", "of the served rate", "answers/s", "p50 / p95 / p99 ms", "errors"), _open(result)),
        "## Where the time of a slice goes, ms\n\n![Stages](benchmark-stages.png)\n\n" + _stages(result),
        f"TorchServe with an empty handler takes {result['empty_ms']:.1f} ms for the same upload, one caller, median.",
        "## Settings, images/s (p50 ms)\n\nAll servers are up; each sleeps but for its turns.\n\n"
        + _grow(result["settings"], "", _count),
        _tell_best(result),
        _fronts(result),
        "## Growth\n\n![Growth](benchmark-growth.png)\n\n"
        f"p50 is that of a batch of {BATCH} in-process, and of a request among those of {BUSY} callers served.\n\n"
        + _grow(result["sides"], "images/s (p50 ms) by side of the picture", str),
        "## Cold start\n\n" + tabulate(("until the first good reply after", "s"), _cold(result)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _describe(result: Result) -> str:
    machine = result["machine"]
    turns = f"ways in turn, {result['repeats']} times; ± is a 95 % interval"
    return (
        f"{result['date']}, {machine['processor']}, {machine['cores']} cores, load generator on the same ones; "
        f"Python {machine['python']}, torch {machine['torch']}; engine {result['engine']}; {machine['slices']}; "
        f"{'a quick run of one repeat, without intervals' if result['quick'] else turns}; "
        f"{result['minutes']:.0f} minutes in all."
    )


def _count(callers: str) -> str:
    return f"{callers} caller{'' if callers == '1' else 's'}"


def _join(latency: Sequence[float]) -> str:
    return " / ".join(f"{value:.0f}" if value >= 20 else f"{value:.1f}" for value in latency)


def _average(latencies: Sequence[Sequence[float]]) -> str:
    """Each percentile on average over the repeats."""
    return _join([sum(values) / len(values) for values in zip(*latencies, strict=True)])


def _list_rates(result: Result) -> Iterable[Sequence[str]]:
    for name, found in result["rates"].items():
        share = ratio(result["rates"], name, LIMIT).show(2)
        yield name, estimate(found["rate"]).show(1), share, _average(found["latency_ms"]), str(found["errors"])


def _beside(result: Result) -> Iterable[Sequence[str]]:
    for name, found in result["beside"].items():
        latency, times = _average(found["latency_ms"]), str(len(found["rate"]))
        yield name, estimate(found["rate"]).show(1), latency, times, str(found["errors"])


def _limits(result: Result) -> Iterable[str]:
    for name, found in result["limits"].items():
        yield tabulate((f"{name}: batch x threads", "images/s"), _mark(found["matrix"], found["best"]))


def _mark(rates: Mapping[str, Sequence[float]], chosen: str) -> Iterable[Sequence[str]]:
    for name, values in rates.items():
        yield f"**{name}**" if name == chosen else name, f"{estimate(values).mean:.1f}"


def _peers(result: Result) -> Iterable[str]:
    for name, rates in result["peers"].items():
        chosen = choose_fastest(rates)
        if len(rates) > 1:
            yield f"## {name}, images/s\n\nIt gets the better of these; ours runs as it ships.\n\n" + tabulate(
                ("workers x threads", "images/s"), _mark(rates, chosen)
            )


def _open(result: Result) -> Iterable[Sequence[str]]:
    for row in result["open"]:
        yield (
            f"{row['asked']:.0f}", f"{row['share']:.1f}", estimate(row["rate"]).show(1), _average(row["latency_ms"]),
            str(row["errors"]),
        )  # fmt: skip


def _stages(result: Result) -> str:
    names = list(next(iter(result["stages"].values())))
    rows = [(kind, *(f"{parts[name]:.2f}" for name in names)) for kind, parts in result["stages"].items()]
    return tabulate(("", *names), rows)


def _grow(ways: Result, corner: str, name_size: Callable[[str], str]) -> str:
    """Rate with its interval, and p50, of each way by size."""
    header = (corner, *map(name_size, next(iter(ways.values()))))
    rows = [
        (name, *(f"{estimate(each['rate']).show(1)} ({estimate(each['p50']).mean:.0f})" for each in found.values()))
        for name, found in ways.items()
    ]
    return tabulate(header, rows)


def _fronts(result: Result) -> str:
    """Nothing of a result from before there were two."""
    if "fronts" not in result:
        return ""
    said = "Classes, by the number of callers; MB are of all processes of the server, what they share counted once."
    return f"## Fronts\n\n{said}\n\n{tabulate(HEADER, list_fronts(result['fronts']))}"


def _cold(result: Result) -> Iterable[Sequence[str]]:
    for name, times in result["cold"].items():
        yield name, estimate(times).show(1)


def publish(result: Result, out: Path, page: Path | None) -> None:
    """Write page, pictures and JSON into `out`, and the table into `page`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "benchmark.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / "benchmark.md").write_text(write_page(result))
    draw_charts(result, out)
    if page:
        page.write_text(fill_summary(page.read_text(), write_summary(result)))
