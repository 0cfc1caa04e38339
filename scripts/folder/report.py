"""What a scored folder is told in: tables, series, and the summary page with its contact sheet."""

from __future__ import annotations

import base64
from pathlib import Path

from lungct_client import RefusedError, ServerError, TokenError
from lungct_tools.folder.fleet import Fleet
from lungct_tools.folder.journal import Journal
from lungct_tools.folder.record import write_csv
from lungct_tools.folder.rollup import Totals, add_up, write_series
from lungct_tools.folder.scoring import Order
from lungct_tools.folder.source import Source, UnreadableError
from lungct_tools.folder.summary import build_summary

SUSPICIOUS = 24  # pictures on the contact sheet


def write_report(out: Path, journal: Journal, order: Order, source: Source, fleet: Fleet, parquet: bool) -> Totals:
    """Write slices.csv, slices.parquet if asked, series.csv and summary.html beside the journal."""
    with (out / "slices.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv(journal.rows(), order.classes, file)
    if parquet:
        from lungct_tools.folder.parquet import write_parquet  # pyarrow is half a second, and an optional package

        write_parquet(journal.rows(), order.classes, out / "slices.parquet")
    totals = add_up(journal.rows(), order.classes, SUSPICIOUS)
    with (out / "series.csv").open("w", encoding="utf-8", newline="") as file:
        write_series(totals.series, file)
    about = {
        "model weights": f"sha256 {order.weights_sha256}",
        "engine": ", ".join(sorted({row["engine"] for row in totals.suspicious})) or "none",
        "window": order.window or "the model's",
    }
    page = build_summary(totals, order.classes, draw_suspicious(totals, order, source, fleet), about)
    (out / "summary.html").write_text(page, encoding="utf-8")
    return totals


def draw_suspicious(totals: Totals, order: Order, source: Source, fleet: Fleet) -> dict[str, bytes]:
    """Small JPEG overlays of the most worrying class by file name; without positive evidence there is none."""
    options = {
        "heatmap": "always",
        "heatmap_class": order.classes[-1],
        "heatmap_format": "jpeg",
        "heatmap_size": "model",
    }
    if order.window:
        options["window"] = order.window
    pictures: dict[str, bytes] = {}
    for row in totals.suspicious:
        try:
            heatmap = fleet.predict(source.read(row["file"]), **options)["heatmap"]
        except (RefusedError, UnreadableError):
            continue
        except (ServerError, TokenError):
            break  # the rows are safe; --resume draws what is missing
        if heatmap["positive_evidence"]:
            pictures[row["file"]] = base64.b64decode(heatmap["data"])
    return pictures
