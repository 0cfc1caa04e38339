"""One row a slice: what the server said of it, the same for the page's CSV and for a scored folder."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import IO, Any

from lungct import NOTICE
from lungct.exchange.result import display_order
from lungct_tools.folder.header import find_place, hash_key

Row = dict[str, Any]

BEFORE = ("file", "sha256", "study", "series", "label", "confidence")
AFTER = ("decision", "warnings", "error", "message", "overlay", "weights_sha256", "engine")


def order_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Class names from least to most worrying, as in the server's reply."""
    return tuple(sorted(names, key=display_order))


def describe_file(name: str, body: bytes, show_uids: bool = False) -> Row:
    """The part of a row that does not need the server.

    Study and series are hashes of their UIDs unless `show_uids`; a file without them belongs to its folder.
    """
    place = find_place(body) if body else None
    folder = f"folder:{PurePosixPath(name).parent}"
    study, series = (place.study, place.series) if place else ("", "")
    if not show_uids or not series:
        study, series = hash_key(study) if study else "", hash_key(series or folder)
    return {
        "file": printable(name),
        "sha256": hashlib.sha256(body).hexdigest() if body else "",
        "study": study,
        "series": series,
    }


def describe_reply(reply: Row) -> Row:
    """The part of a row that the server's reply fills."""
    fields = {name: reply[name] for name in ("label", "confidence", "probabilities", "decision", "warnings")}
    model = reply["model"]
    return {**fields, "weights_sha256": model["weights_sha256"], "engine": model["engine"]}


def flatten(row: Row, classes: Sequence[str]) -> Row:
    """A row as one line of a table: a column a class, warnings as one text, missing fields empty."""
    shares = row.get("probabilities", {})
    flat = {name: row.get(name, "") for name in BEFORE}
    flat |= {probability_column(name): shares.get(name, "") for name in classes}
    flat |= {name: row.get(name, "") for name in AFTER}
    flat["warnings"] = " ".join(row.get("warnings", ()))
    return {**flat, "notice": NOTICE}


def probability_column(name: str) -> str:
    """Table column of a class's probability."""
    return f"probability_{name}"


def columns(classes: Sequence[str]) -> list[str]:
    """The table's columns in order."""
    return [*BEFORE, *(probability_column(name) for name in classes), *AFTER, "notice"]


def write_csv(rows: Iterable[Row], classes: Sequence[str], file: IO[str]) -> None:
    """Rows as CSV with a header; every line carries the notice."""
    writer = csv.DictWriter(file, columns(classes), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flatten(row, classes) for row in rows)


def printable(name: str) -> str:
    """A file name that every format can hold: bytes that are no UTF-8 become escapes."""
    return name.encode("utf-8", "backslashreplace").decode()
