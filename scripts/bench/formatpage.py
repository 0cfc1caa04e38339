"""A result on formats as a part of docs/performance.md, a picture and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lungct_tools.bench.charts import draw_formats
from lungct_tools.bench.formatverdicts import judge_formats
from lungct_tools.bench.report import fill_summary
from lungct_tools.bench.targets import Result
from lungct_tools.documents.markdown import tabulate

MARK = "make bench formats"
STEM = "benchmark-formats"


def write_formats(result: Result) -> str:
    """What was measured on what, and the table of targets."""
    machine, start = result["machine"], result["start"]
    turns = f"each in turn, {result['repeats']} times; ± is a 95 % interval"
    said = (
        f"{result['date']}, {machine['processor']}, {machine['cores']} cores, load generator on the same ones; Python "
        f"{machine['python']}; engine {result['engine']}; "
        f"{'a quick run of one repeat, without intervals' if result['quick'] else turns}; "
        f"{result['minutes']:.0f} minutes in all."
    )
    if start:
        said += f" The start is {start}; both serve its model, since it cannot load that of 2.0."
    else:
        said += " The commit of the start is not in this checkout's history: what is held against it is left out."
    rows = judge_formats(result)
    return f"{said}\n\n{tabulate(('', 'target', 'at the start', 'reached', ''), rows)}{tell_cpu(result['cpu'])}"


def tell_cpu(spent: Mapping[str, Mapping[str, float]]) -> str:
    """Whose CPU each kind of request takes."""
    parts = list(next(iter(spent.values())))
    rows = [
        (kind, *(f"{part[name]:.1f}" for name in parts), f"{sum(part.values()):.1f}") for kind, part in spent.items()
    ]
    return f"\n\nWhere the CPU of a request goes, ms:\n\n{tabulate(('', *parts, 'in all'), rows)}"


def publish_formats(result: Result, out: Path, page: Path | None) -> None:
    """Write picture and JSON into `out`, and the table into `page`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{STEM}.json").write_text(json.dumps(result, indent=1) + "\n")
    draw_formats(result).savefig(out / f"{STEM}.png")
    if page:
        page.write_text(fill_summary(page.read_text(), write_formats(result), MARK))
