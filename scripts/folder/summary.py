"""A scored folder on one HTML page: counts, the most suspicious slices with their maps, what was refused, series.

The file stands alone: pictures are inside, nothing is loaded from anywhere, and no script runs but its own.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from lungct import NOTICE
from lungct_tools.folder.markup import POLICY, SCRIPT, STYLE
from lungct_tools.folder.modelfacts import NEVER, list_never_reported, tell_never
from lungct_tools.folder.record import Row
from lungct_tools.folder.rollup import RULE, Totals, tell_refused

SHOWN_SERIES = 200
NUMBERS = ("slices", "copies", "refused", "referred", "suspicion", "peak", "confidence")
SERIES_COLUMNS = (
    "study", "series", "slices", "copies", "refused", "referred", "label", "suspicion", "peak", "decision", "warnings",
)  # fmt: skip


def build_summary(
    totals: Totals,
    classes: Sequence[str],
    pictures: Mapping[str, bytes],
    about: Mapping[str, str],
    contract: Mapping[str, Any],
) -> str:
    """The page.

    Args:
        classes: from least to most worrying.
        pictures: JPEG heatmap overlays of the most suspicious slices by sha256 of the file; one may be missing.
        about: what else a reader must know, by name: server, model, options.
        contract: the model's; what it never reports is told first, and marked in the tables.
    """
    worst, never = classes[-1], list_never_reported(contract)
    refused = [{**row, "decision": "refused", "label": row["error"]} for row in totals.refused]
    slices = [_show_slice(row, worst, pictures, never) for row in (*totals.suspicious, *refused)]
    shown = len(totals.suspicious), len(refused)
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Scored slices</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style></head><body><main>',
        f'<h1>Scored slices</h1><p class="notice">{NOTICE}<br>{escape(tell_never(contract))}</p>',
        _list_counts(totals, classes),
        _list_errors(totals.errors),
        _ask_decision(),
        f"<h2>Slices</h2><p>The {shown[0]:,} most suspicious, by probability of {escape(worst)}, and {shown[1]:,} that "
        f"were refused; slices.csv has all. A click on one opens it. The colours are the Grad-CAM map of that class: "
        f"7 x 7 cells, smoothed for display, and not an outline of anything.</p>",
        _make_table(("file", worst, "confidence", "class", "decision"), slices, (worst, "confidence")),
        f"<h2>Series</h2><p>{escape(RULE)}{_tell_more(totals)}</p>",
        _make_table(SERIES_COLUMNS, (_show_series(series, never) for series in totals.series[:SHOWN_SERIES]), NUMBERS),
        '<h2>About this run</h2><div class="scroll"><table>',
        *(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in about.items()),
        f'</table></div></main><dialog aria-label="One slice"><img alt="" src="data:," hidden><p></p>'
        f'<p class="notice">{NOTICE}</p><button>Close</button></dialog><script>{SCRIPT}</script></body></html>\n',
    ]
    return "".join(parts)


def _list_counts(totals: Totals, classes: Sequence[str]) -> str:
    counts = {"slices": totals.slices} | {name: totals.labels[name] for name in classes}
    counts |= {"to refer": totals.decisions["refer"], "refused": totals.errors.total(), "copies": totals.copies}
    counts |= {"series": len(totals.series)}
    cells = (f"<li>{escape(name)}<b>{count:,}</b></li>" for name, count in counts.items())
    return f'<ul class="counts">{"".join(cells)}</ul>'


def _list_errors(errors: Counter[str]) -> str:
    told = escape(tell_refused(errors))
    return told and f"<p>{told} The sentence for each file is in the table of slices.</p>"


def _ask_decision() -> str:
    choices = (
        f'<label><input type="radio" name="decision" value="{value}"{" checked" if value == "all" else ""}> {value}'
        f"</label>"
        for value in ("all", "report", "refer", "refused")
    )
    return f"<fieldset><legend>Show decision</legend>{''.join(choices)}</fieldset>"


def _make_table(names: Sequence[str], lines: Iterable[str], numbers: Sequence[str]) -> str:
    """A table whose heads sort it."""
    heads = "".join(f'<th scope="col"{_align(name in numbers)}><button>{escape(name)}</button></th>' for name in names)
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _show_slice(row: Row, worst: str, pictures: Mapping[str, bytes], never: Collection[str]) -> str:
    name, share = escape(row["file"]), row.get("probabilities", {}).get(worst, "")
    if row["sha256"] in pictures:
        data = base64.b64encode(pictures[row["sha256"]]).decode("ascii")
        picture = f'<img alt="Heatmap of {escape(worst)} over {name}" src="data:image/jpeg;base64,{data}">'
    else:
        picture = '<span class="none"></span>'
    shares = ", ".join(f"{label} {value:.3f}" for label, value in row.get("probabilities", {}).items())
    mark = f" ({NEVER})" if row["label"] in never else ""
    told = [row["file"], f"{row['label']}{mark}, {row['decision']}", shares or row["message"], *row.get("warnings", ())]
    cells = (
        f'<td><button class="open">{picture}{name}</button></td>',
        _cell(share, True),
        _cell(row.get("confidence", ""), True),
        _show_label(row["label"], never),
        _cell(row["decision"]),
    )
    said = escape("\n".join(told))
    return f'<tr data-decision="{escape(row["decision"])}" data-told="{said}">{"".join(cells)}</tr>'


def _show_series(series: Row, never: Collection[str]) -> str:
    cells = "".join(
        _show_label(series[name], never) if name == "label" else _cell(series[name], name in NUMBERS)
        for name in SERIES_COLUMNS
    )
    return f'<tr data-decision="{escape(series["decision"])}">{cells}</tr>'


def _tell_more(totals: Totals) -> str:
    count = len(totals.series)
    return f" These are the first {SHOWN_SERIES} of {count:,}; series.csv has all." if count > SHOWN_SERIES else ""


def _show_label(label: str, never: Collection[str]) -> str:
    mark = f"<small>{NEVER}</small>" if label in never else ""
    return f'<td class="word">{escape(label)}{mark}</td>'


def _cell(value: object, number: bool = False) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else escape(str(value))
    return f"<td{_align(number)}{_mark(text)}>{text}</td>"


def _align(number: bool) -> str:
    return ' class="number"' if number else ""


def _mark(text: str) -> str:
    return ' class="refer"' if text == "refer" else ""
