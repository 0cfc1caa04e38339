"""One row a slice: what the server said of it, the same for the page's CSV and for a scored folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import IO, Any

from lungct import NOTICE
from lungct.exchange.result import display_order
from lungct_tools.folder.header import Place, find_place, hash_key
from lungct_tools.folder.modelfacts import tell_once
from lungct_tools.folder.naming import printable
from lungct_tools.folder.table import write_table

Row = dict[str, Any]

# The columns of tables. A row has more, for the roll-up: see describe_place.
BEFORE = ("file", "sha256", "study", "series", "instance", "label", "confidence")
AFTER = ("decision", "warnings", "error", "message", "overlay", "weights_sha256", "engine")


def order_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Class names from least to most worrying, as in the server's reply."""
    return tuple(sorted(names, key=display_order))


def describe_file(name: str, body: bytes, show_uids: bool = False, sha256: str = "") -> Row:
    """The part of a row that does not need the server; `sha256`, if it is known, is that of `body`.

    The row's is "" for a file that could not be read.
    """
    place = find_place(body) if body else None
    sha256 = sha256 or (hashlib.sha256(body).hexdigest() if body else "")
    return {"file": printable(name), "sha256": sha256, **describe_place(name, place, show_uids)}


def describe_place(name: str, place: Place | None, show_uids: bool = False) -> Row:
    """Where a slice belongs, as fields of its row.

    Study, series and instance are hashes of their UIDs unless `show_uids`; a file without a series belongs to its
    folder. `spot` tells instances of one UID apart, and begins with a dot where no position is told; `axial` is False
    for what is known to be no axial image; `patient` is a sign of whose it is, see `Place`.
    """
    study, series, instance = (place.study, place.series, place.instance) if place else ("", "", "")
    if not show_uids or not series:
        study, series = study and hash_key(study), hash_key(series or f"folder:{PurePosixPath(name).parent}")
    row = {"study": study, "series": series, "instance": instance if show_uids else instance and hash_key(instance)}
    spot = ".".join(part and hash_key(part) for part in place.spot) if place else ""
    return row | ({"spot": spot, "axial": place.axial, "patient": place.patient} if place else {})


def identify_series(row: Row) -> tuple[str, str]:
    """What makes a series: one Series UID may be found in two studies, and then means two series."""
    return row["study"], row["series"]


def describe_reply(reply: Row) -> Row:
    """The part of a row that the server's reply fills."""
    fields = {name: reply[name] for name in ("label", "confidence", "probabilities", "decision", "warnings")}
    pixels = reply["input"].get("pixels_sha256")  # older servers do not tell
    model = reply["model"]
    return {
        **fields,
        **({"pixels_sha256": pixels} if pixels else {}),
        "weights_sha256": model["weights_sha256"],
        "engine": model["engine"],
    }


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


def write_csv(
    rows: Iterable[Row], classes: Sequence[str], file: IO[str], facts: Mapping[str, str], more: Sequence[str] = ()
) -> None:
    """Rows as CSV with a header; every line carries the notice, the first one the facts of the model.

    Args:
        more: names of further fields, each a column behind the usual ones.
    """
    lines = (flatten(row, classes) | {name: row.get(name, "") for name in more} for row in rows)
    write_table(lines, [*columns(classes), *more], file, tell_once(facts))
