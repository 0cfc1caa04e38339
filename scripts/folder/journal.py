"""The record of a scoring run on disk: one JSON line a slice.

The file holds whole rows at all times, whatever killed the process: each is appended with one flushed write, and a last
line without its end is cut off when the run goes on. A row belongs to a file by name and content. Rows of earlier runs
are found by name, and taken over only where the content is still the same; when a run has ended, the file holds the
rows of its input in the order of its input.
"""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from lungct_tools.folder.record import Row
from lungct_tools.server.runfolder import RunFolderError, open_fresh, open_kept


class JournalError(Exception):
    """The run cannot go on in this folder; the message says why."""


class Journal:
    """slices.jsonl, open for reading and appending; threads may share it.

    Args:
        path: the file; it is made when missing.

    Attributes:
        aside: where rows go whose files are no longer in the input, or were changed.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.aside = path, path.with_name("slices-before.jsonl")
        self._lock = threading.Lock()
        self._open()
        self._cut_torn_line()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, row: Row) -> int:
        """Add a row; once this returns the row survives the end of the process. Returns its place in the file."""
        with self._lock:
            at = self._file.seek(0, os.SEEK_END)
            self._file.write(encode_row(row))
            self._file.flush()
        return at

    def rows(self) -> Iterator[Row]:
        """The rows written so far, one at a time."""
        return (row for _, row in self._places())

    def groups(self) -> Iterator[Iterator[Row]]:
        """The same, in groups that have no series in common: any row here may belong to any series."""
        yield self.rows()

    def read(self, at: int) -> Row:
        """The row at a place."""
        with self._lock:
            self._file.seek(at)
            return dict(json.loads(self._file.readline()))

    def index(self) -> dict[str, list[int]]:
        """The places of all rows by file name."""
        found = defaultdict(list)
        for at, row in self._places():
            found[row["file"]].append(at)
        return dict(found)

    def arrange(self, places: Sequence[int]) -> int:
        """Keep the rows at these places, in this order; the others go to `aside`. Returns how many those are."""
        with self.path.open("rb") as lines:
            if all(a < b for a, b in pairwise(places)) and len(places) == sum(1 for _ in lines):
                return 0
        kept = set(places)
        current = {(row["file"], row["sha256"]) for at, row in self._places() if at in kept}
        others = (row for at, row in self._places() if at not in kept and row["sha256"])
        left = [row for row in others if (row["file"], row["sha256"]) not in current]
        if left:
            with _open_end(self.aside) as aside:
                aside.writelines(map(encode_row, left))
        new = self.path.with_suffix(".new")
        with open_fresh(new) as file:
            file.writelines(encode_row(self.read(at)) for at in places)
        self._file.close()
        new.replace(self.path)
        self._open()
        return len(left)

    def _open(self) -> None:
        self._file = _open_end(self.path)

    def _places(self) -> Iterator[tuple[int, Row]]:
        at = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    row = dict(json.loads(line))
                except (ValueError, TypeError):
                    raise JournalError(f"{self.path} is damaged in line {number}; score into a new folder.") from None
                yield at, row
                at += len(line)

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


def _open_end(path: Path) -> BinaryIO:
    """A file to read and go on with; JournalError for a link, which may lead anywhere: OUT may be another user's."""
    try:
        return open_kept(path, "a+b")
    except RunFolderError as error:
        raise JournalError(str(error)) from None


def encode_row(row: Row) -> bytes:
    """A row as a line of ASCII."""
    return json.dumps(row, separators=(",", ":")).encode("ascii") + b"\n"
