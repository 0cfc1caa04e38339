"""The record of a scoring run on disk: one JSON line a slice, in the order of the input.

The file is at all times a prefix of the whole run, whatever killed the process: rows are appended in order, each
with one flushed write, and a last line without its end is cut off when the run goes on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from lungct_tools.folder.record import Row


class JournalError(Exception):
    """The run cannot go on in this folder; the message says why."""


class Journal:
    """slices.jsonl, open for appending.

    Args:
        path: the file; it is made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")
        self._cut_torn_line()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, row: Row) -> None:
        """Add a row; once this returns the row survives the end of the process."""
        self._file.write(json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n")
        self._file.flush()

    def rows(self) -> Iterator[Row]:
        """The rows written so far, one at a time."""
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield json.loads(line)
                except ValueError:
                    raise JournalError(f"{self.path} is damaged in line {number}; score into a new folder.") from None

    def _cut_torn_line(self) -> None:
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            end = size
            while end:
                start = max(0, end - 65536)
                file.seek(start)
                if (found := file.read(end - start).rfind(b"\n")) >= 0:
                    end = start + found + 1
                    break
                end = start
        if end != size:
            os.truncate(self.path, end)
