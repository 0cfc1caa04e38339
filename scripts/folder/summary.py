"""A scored folder on one HTML page: counts, series, and a contact sheet of the most suspicious slices.

The file stands alone: pictures are inside, nothing is loaded from anywhere, no script runs.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from lungct import NOTICE
from lungct_tools.folder.record import Row
from lungct_tools.folder.rollup import RULE, Totals

SHOWN_SERIES = 50
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1b2430;background:#fff;max-width:1120px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
.notice{background:#fff4d6;border-left:4px solid #b26a00;padding:.5rem .8rem;margin:1rem 0}
.counts{display:flex;flex-wrap:wrap;gap:.75rem;padding:0;list-style:none}
.counts li{border:1px solid #d5dbe3;border-radius:8px;padding:.4rem .9rem;min-width:6rem}
.counts b{display:block;font-size:1.4rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #e3e8ee}td.number,th.number{text-align:right}
.sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(200px,1fr));gap:1rem;padding:0;list-style:none}
.sheet li{border:1px solid #d5dbe3;border-radius:8px;overflow:hidden}
.sheet img,.sheet .none{width:100%;aspect-ratio:1;display:block;background:#10151c;object-fit:contain}
.sheet p{margin:.4rem .6rem;font-size:.85rem;overflow-wrap:anywhere}
.refer{color:#8a3b00;font-weight:600}
"""


def build_summary(
    totals: Totals, classes: Sequence[str], pictures: Mapping[str, bytes], about: Mapping[str, str]
) -> str:
    """The page.

    Args:
        classes: from least to most worrying.
        pictures: JPEG heatmap overlays by file name of the most suspicious slices; one that is missing is left blank.
        about: what else a reader must know, by name: server, model, options.
    """
    worst = classes[-1]
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>LungServe: scored slices</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head><body>',
        f'<h1>Scored slices</h1><p class="notice">{NOTICE}</p>',
        _list_counts(totals, classes),
        _list_errors(totals.errors),
        f"<h2>Most suspicious slices</h2><p>By probability of {escape(worst)}. The colours are the Grad-CAM map of "
        f"that class: 7 x 7 cells, smoothed for display, and not an outline of anything.</p>",
        f'<ul class="sheet">{"".join(_show_slice(row, worst, pictures) for row in totals.suspicious)}</ul>',
        _list_series(totals.series),
        '<h2>About this run</h2><div class="scroll"><table>',
        *(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in about.items()),
        "</table></div></body></html>\n",
    ]
    return "".join(parts)


def _list_counts(totals: Totals, classes: Sequence[str]) -> str:
    counts = {"slices": totals.slices} | {name: totals.labels[name] for name in classes}
    counts |= {"to refer": totals.decisions["refer"], "refused": totals.errors.total(), "series": len(totals.series)}
    cells = (f"<li>{escape(name)}<b>{count:,}</b></li>" for name, count in counts.items())
    return f'<ul class="counts">{"".join(cells)}</ul>'


def _list_errors(errors: Counter[str]) -> str:
    if not errors:
        return ""
    found = ", ".join(f"{escape(code)} ({count:,})" for code, count in errors.most_common())
    return f"<p>Refused: {found}. The sentence for each file is in the table of slices.</p>"


def _show_slice(row: Row, worst: str, pictures: Mapping[str, bytes]) -> str:
    name, share = escape(row["file"]), row["probabilities"][worst]
    if row["file"] in pictures:
        data = base64.b64encode(pictures[row["file"]]).decode("ascii")
        picture = f'<img alt="Heatmap over {name}" src="data:image/jpeg;base64,{data}">'
    else:
        picture = '<div class="none"></div>'
    refer = ' <span class="refer">refer</span>' if row["decision"] == "refer" else ""
    return f"<li>{picture}<p><b>{escape(worst)} {share:.3f}</b>{refer}<br>{name}</p></li>"


def _list_series(series: Sequence[Row]) -> str:
    more = (
        f"<p>The first {SHOWN_SERIES} of {len(series):,}; series.csv has all.</p>" if len(series) > SHOWN_SERIES else ""
    )
    names = ("series", "slices", "refused", "referred", "label", "suspicion", "peak", "decision")
    head = "".join(f"<th{_align(name)}>{name}</th>" for name in names)
    lines = "".join(
        "<tr>" + "".join(f"<td{_align(name)}>{_format(row[name])}</td>" for name in names) + "</tr>"
        for row in series[:SHOWN_SERIES]
    )
    table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>'
    return f"<h2>Series</h2><p>{escape(RULE)}</p>{table}{more}"


def _align(name: str) -> str:
    return ' class="number"' if name in ("slices", "refused", "referred", "suspicion", "peak") else ""


def _format(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else escape(str(value))
