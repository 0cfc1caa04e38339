"""What a bulk run has written: one file for some thousand rows, whole or not there, whoever wrote it and when."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from lungct_tools.bulk.listing import Listed
from lungct_tools.bulk.manifest import Manifest
from lungct_tools.bulk.place import Place, list_names, writing
from lungct_tools.bulk.shard import Shard
from lungct_tools.folder.journal import JournalError, encode_row
from lungct_tools.folder.naming import printable
from lungct_tools.folder.record import Row, identify_series

PART = 1000  # rows: what a process that is killed has to do again, at most


class Part(NamedTuple):
    """Some files of a shard, and where their rows go."""

    path: Place
    files: Sequence[Listed]


@dataclass
class Parts:
    """The rows below the place `out`; read as a Journal is.

    Attributes:
        tables: the folder of the tables where that is not `out`.
        count: shards of this run.
        strayed: files that had another series when they were scored than when they were listed; counted by `rows`.
    """

    out: Place
    manifest: Manifest
    count: int
    tables: Path | None = None
    strayed: int = 0

    @property
    def path(self) -> Place:
        """Beside which the tables are written."""
        return (self.tables or self.out) / "parts"

    def divide(self, shard: Shard) -> Iterator[Part]:
        """A shard in parts, in its order; every process divides it in the same way."""
        files = self.manifest.read_shard(shard)
        number = 0
        while some := list(islice(files, PART)):
            yield Part(self._locate(shard) / f"{number:06}.jsonl", some)
            number += 1

    def write(self, part: Part, rows: Iterable[Row]) -> None:
        """Have a part, once its rows are on the disk."""
        with writing(part.path) as file:  # two processes may do one shard: their rows are the same
            file.writelines(map(encode_row, rows))

    def find_missing(self) -> list[int]:
        """The shards of which a part is not there yet."""
        shards = (Shard(index, self.count) for index in range(self.count))
        return [shard.index for shard in shards if not all(stands for _, stands in self.compare(shard))]

    def compare(self, shard: Shard) -> Iterator[tuple[Part, bool]]:
        """The parts of a shard, and whether each stands; asked once for all, since a bucket is paid by the question."""
        standing = list_names(self._locate(shard))
        return ((part, part.path.name in standing) for part in self.divide(shard))

    def groups(self) -> Iterator[Iterator[Row]]:
        """The rows of each shard; no series is in two of them, but for files that strayed."""
        self.strayed = 0
        return (self._read(Shard(index, self.count)) for index in range(self.count))

    def rows(self) -> Iterator[Row]:
        """All rows, in the order of the manifest; JournalError where they are not those of its files."""
        return chain.from_iterable(self.groups())

    def _locate(self, shard: Shard) -> Place:
        return self.out / "parts" / f"{shard.index:06}"

    def _read(self, shard: Shard) -> Iterator[Row]:
        for part in self.divide(shard):
            try:
                rows = [dict(json.loads(line)) for line in part.path.read_bytes().splitlines()]
                same = [row["file"] for row in rows] == [printable(each.name) for each in part.files]
            except (OSError, ValueError, TypeError, KeyError):
                same = False
            if not same:
                raise JournalError(f"{part.path} is damaged; remove it, and run shard {shard.index} again.")
            self.strayed += sum(identify_series(row) != each.key for row, each in zip(rows, part.files, strict=True))
            yield from rows
