"""What a scored folder is told in: tables, series, and the summary page."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from lungct_client import RefusedError, ServerError, TokenError
from lungct_tools.folder.modelfacts import tell_model
from lungct_tools.folder.naming import printable
from lungct_tools.folder.record import write_csv
from lungct_tools.folder.rollup import Totals, add_up_groups, write_series
from lungct_tools.folder.scoring import Run
from lungct_tools.folder.source import UnreadableError
from lungct_tools.folder.summary import build_summary
from lungct_tools.server.runfolder import open_fresh

SUSPICIOUS = 100  # slices on the summary page, each with a picture of some 10 kB


def write_report(run: Run, parquet: bool) -> Totals:
    """Write slices.csv, slices.parquet if asked, series.csv and summary.html beside the journal."""
    out, journal, order, facts = run.journal.path.parent, run.journal, run.order, tell_model(run.contract)
    with open_whole(out / "slices.csv") as file:
        write_csv(journal.rows(), order.classes, file, facts)
    if parquet:
        from lungct_tools.folder.parquet import write_parquet  # pyarrow is half a second, and an optional package

        write_parquet(journal.rows(), order.classes, out / "slices.parquet", facts)
    totals = add_up_groups(journal.groups(), order.classes, SUSPICIOUS)
    with open_whole(out / "series.csv") as file:
        write_series(totals.series, file, facts)
    about = {
        "model weights": f"sha256 {order.weights_sha256}",
        "engine": ", ".join(sorted({row["engine"] for row in totals.suspicious})) or "none",
        "window": order.window or "the model's",
        **facts,
    }
    page = build_summary(totals, order.classes, draw_suspicious(totals, run), about, run.contract)
    with open_whole(out / "summary.html") as file:
        file.write(page)
    return totals


@contextmanager
def open_whole(path: Path) -> Iterator[IO[str]]:
    """A text file that takes the place of what is at `path`, a link too, once it is whole: somebody may be reading."""
    new = path.with_name(f"{path.name}.new")
    with io.TextIOWrapper(open_fresh(new), encoding="utf-8", newline="") as file:
        yield file
    new.replace(path)


def draw_suspicious(totals: Totals, run: Run) -> dict[str, bytes]:
    """Small JPEG overlays of the most worrying class by the file's sha256; without positive evidence there is none.

    A file that holds something else by now has no picture: it would stand beside the score of another slice.
    """
    options = {
        "heatmap": "always",
        "heatmap_class": run.order.classes[-1],
        "heatmap_format": "jpeg",
        "heatmap_size": "model",
    }
    if run.order.window:
        options["window"] = run.order.window
    names, missing = ({row[name] for row in totals.suspicious} for name in ("file", "sha256"))
    pictures: dict[str, bytes] = {}
    for entry in run.source.entries():
        if not missing:
            break
        if printable(entry.name) not in names:
            continue
        try:
            body = run.source.read(entry)
            if (sha256 := hashlib.sha256(body).hexdigest()) not in missing:
                continue
            missing.remove(sha256)
            heatmap = run.fleet.predict(body, **options)["heatmap"]
        except (RefusedError, UnreadableError):
            continue
        except (ServerError, TokenError):
            break  # the rows are safe; --resume draws what is missing
        if heatmap["positive_evidence"]:
            pictures[sha256] = base64.b64decode(heatmap["data"])
    return pictures
