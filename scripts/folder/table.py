"""Rows as CSV that a spreadsheet shows and does not run."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

# A cell that begins so is a formula to a spreadsheet, and may fetch or start something (OWASP, "CSV injection").
# Their full-width forms count too.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def write_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], file: IO[str]) -> None:
    """A header and the rows; only `columns` are written, a missing one is empty.

    Text is quoted throughout: a spreadsheet that cuts at semicolons would else find cells of its own in a name.
    """
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(columns)
    writer.writerows([disarm(row.get(name, "")) for name in columns] for row in rows)


def disarm(cell: Any) -> Any:
    """A cell with an apostrophe before text that a spreadsheet would take for a formula; numbers stay as they are."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
