"""What a bulk run has written: one file for some thousand rows, whole or not there, whoever wrote it and when."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from lungct_tools.bulk.listing import Listed
from lungct_tools.bulk.manifest import Manifest
from lungct_tools.bulk.shard import Shard
from lungct_tools.folder.journal import JournalError, encode_row
from lungct_tools.folder.naming import printable
from lungct_tools.folder.record import Row, identify_series

PART = 1000  # rows: what a process that is killed has to do again, at most


class Part(NamedTuple):
    """Some files of a shard, and where their rows go."""

    path: Path
    files: Sequence[Listed]


@dataclass
class Parts:
    """The rows in the folder `out`; read as a Journal is.

    Attributes:
        count: shards of this run.
        strayed: files that had another series when they were scored than when they were listed; counted by `rows`.
    """

    out: Path
    manifest: Manifest
    count: int
    strayed: int = 0

    @property
    def path(self) -> Path:
        """Beside which the tables are written."""
        return self.out / "parts"

    def divide(self, shard: Shard) -> Iterator[Part]:
        """A shard in parts, in its order; every process divides it in the same way."""
        files = self.manifest.read_shard(shard)
        number = 0
        while some := list(islice(files, PART)):
            yield Part(self.path / f"{shard.index:06}" / f"{number:06}.jsonl", some)
            number += 1

    def write(self, part: Part, rows: Iterable[Row]) -> None:
        """Have a part, once its rows are on the disk."""
        part.path.parent.mkdir(parents=True, exist_ok=True)
        new = part.path.with_name(f".{uuid.uuid4().hex}")  # two processes may do one shard: their rows are the same
        try:
            with new.open("xb") as file:
                file.writelines(map(encode_row, rows))
                file.flush()
                os.fsync(file.fileno())
            new.replace(part.path)
        finally:
            new.unlink(missing_ok=True)
        folder = os.open(part.path.parent, os.O_RDONLY)
        with suppress(OSError):  # not every mounted file system can
            os.fsync(folder)
        os.close(folder)

    def find_missing(self) -> list[int]:
        """The shards of which a part is not there yet."""
        shards = (Shard(index, self.count) for index in range(self.count))
        return [shard.index for shard in shards if not all(part.path.exists() for part in self.divide(shard))]

    def groups(self) -> Iterator[Iterator[Row]]:
        """The rows of each shard; no series is in two of them, but for files that strayed."""
        self.strayed = 0
        return (self._read(Shard(index, self.count)) for index in range(self.count))

    def rows(self) -> Iterator[Row]:
        """All rows, in the order of the manifest; JournalError where they are not those of its files."""
        return chain.from_iterable(self.groups())

    def _read(self, shard: Shard) -> Iterator[Row]:
        for part in self.divide(shard):
            try:
                with part.path.open("rb") as lines:
                    rows = [dict(json.loads(line)) for line in lines]
                same = [row["file"] for row in rows] == [printable(each.name) for each in part.files]
            except (OSError, ValueError, TypeError, KeyError):
                same = False
            if not same:
                raise JournalError(f"{part.path} is damaged; remove it, and run shard {shard.index} again.")
            self.strayed += sum(identify_series(row) != each.key for row, each in zip(rows, part.files, strict=True))
            yield from rows
