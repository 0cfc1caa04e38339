"""Rows as CSV that a spreadsheet shows and does not run."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

# What begins so is a formula to a spreadsheet, and may fetch or start something (OWASP, "CSV injection"); full-width
# forms too. In other countries cells end at a semicolon or tab, whatever quotes are around the text.
_FORMULA = re.compile(r'(^|[;,|\t\r\n])([\s"]*)(?=[-=+@\uff1d\uff0b\uff0d\uff20])')


def write_table(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], file: IO[str], once: Mapping[str, str]
) -> None:
    """A header and the rows; only `columns` are written, a missing one is empty.

    Args:
        once: further columns by name, whose text stands in the first line only: what is true of the whole table. A
            remark above the header would be the first thing that a reader of CSV takes for the header.
    """
    writer = csv.writer(file, lineterminator="\n")
    names = [*columns, *once]
    writer.writerow(names)
    for number, row in enumerate(rows):
        told = row if number else {**row, **once}
        writer.writerow([disarm(told.get(name, "")) for name in names])


def disarm(cell: Any) -> Any:
    """A cell with an apostrophe before whatever a spreadsheet would take for a formula; numbers stay as they are."""
    return _FORMULA.sub(r"\1\2'", cell) if isinstance(cell, str) else cell
