"""The list of all files of a bulk run, made once: grouped by series, and cut into shards without an index.

A text file. Its first line is a JSON object; each other one is a series' key, a blank and a file's name as JSON. Files
of one series follow each other in the order of the input; series lie in the order of their hashes, so that shards are
alike. Shard I of N is what lies between two places in the file, each moved on to where a series begins: any number of
processes finds its own without reading the rest, and no series is in two of them.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import IO

from lungct import NOTICE
from lungct_tools.bulk.listing import Listed
from lungct_tools.bulk.place import Place, parse_place, read_whole, writing
from lungct_tools.bulk.shard import Shard
from lungct_tools.folder.source import Entry, locate, stamp_path

SORTED_AT_ONCE = 500_000  # lines
READ_AT_ONCE = 65536  # bytes of each portion while they are merged
LONGEST = 65536  # bytes of a line; a path has 4,096 at most, each six times that in JSON
FORMAT = 1


class ManifestError(Exception):
    """A manifest cannot be made or used; the message says what to do."""


@dataclass(frozen=True)
class Header:
    """The first line.

    Attributes:
        root: the folder that names start from.
        files, series: how many there are.
        size: bytes of all other lines.
        sha256: of them, and of size and date of the files: another slice under an old name is another list.
    """

    root: str
    files: int
    series: int
    size: int
    sha256: str
    format: int = FORMAT
    notice: str = NOTICE


def write_manifest(listed: Iterable[Listed], root: Place, path: Place) -> Header:
    """Sort what was listed by series and write it, in memory that does not grow with it.

    Raises:
        ManifestError: nothing was listed, or what can be no path.
        OSError: it cannot be written; while it is made, hidden files beside `path`, or where temporary files lie when
            that is in a bucket, take twice its room.
        BucketError: the bucket of `path` cannot be used.
    """
    with ExitStack() as stack:
        room = path.parent if isinstance(path, Path) else None
        spool, body = (stack.enter_context(tempfile.TemporaryFile(dir=room)) for _ in range(2))
        digest, files, series, before = hashlib.sha256(), 0, 0, b""
        states = _States()
        for line in _sort(map(_encode, map(states.add, listed)), spool):
            body.write(line)
            digest.update(line)
            files += 1
            series += _read_key(line) != before
            before = _read_key(line)
        if not files:
            raise ManifestError(f"There are no files in {root}.")
        digest.update(states.total.to_bytes(_States.BYTES, "big"))
        header = Header(str(root), files, series, body.tell(), digest.hexdigest())
        body.seek(0)
        with writing(path) as file:
            file.write(json.dumps(asdict(header)).encode("ascii") + b"\n")
            while portion := body.read(1 << 20):
                file.write(portion)
    return header


class Manifest:
    """A manifest as a source of files; may be shared by threads.

    Args:
        path: of the manifest.
        root: where its files lie on this machine; None: where they lay when it was made.

    Raises:
        ManifestError: it is none, was cut short, or there is no such root.
        BucketError: the bucket of one of them cannot be used.
    """

    def __init__(self, path: Place, root: Place | None = None) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self.header = Header(**json.loads(file.readline(1 << 16)))
                self._start = file.tell()
                whole = file.seek(0, os.SEEK_END) - self._start == self.header.size
        except OSError as error:
            raise ManifestError(f"{path} cannot be read: {error.strerror}.") from None
        except (ValueError, TypeError):
            raise ManifestError(f"{path} is no manifest; make one with `lungct bulk list IN MANIFEST`.") from None
        if not whole or self.header.format != FORMAT:
            raise ManifestError(f"{path} is not whole, or of another version; make it again with `lungct bulk list`.")
        self.root = root or parse_place(self.header.root)
        if not self.root.is_dir():
            raise ManifestError(f"There is no folder {self.root}; name where its files lie here with --in.")

    def entries(self) -> Iterator[Entry]:
        """All files, in the order of the manifest."""
        return (self.open(listed) for listed in self.read_shard(Shard(0, 1)))

    def open(self, listed: Listed) -> Entry:
        """A file of this manifest as an entry."""
        at = locate(self.root, listed.name) if isinstance(self.root, Path) else self.root / listed.name
        return Entry(listed.name, at)

    def read(self, entry: Entry) -> bytes:
        return read_whole(entry.at)

    def stamp(self, entry: Entry) -> str:
        return stamp_path(entry.at) if isinstance(entry.at, Path) else ""  # to ask would be a request for each

    def read_shard(self, shard: Shard) -> Iterator[Listed]:
        """The files of a shard, a whole number of series; none where one series spans more than a shard."""
        with self.path.open("rb") as file:
            end = self._find_border(file, self.header.size * (shard.index + 1) // shard.count)
            at = self._find_border(file, self.header.size * shard.index // shard.count)
            file.seek(at)
            while at < end:
                line = file.readline()
                at += len(line)
                yield _decode(line)

    def _find_border(self, file: IO[bytes], offset: int) -> int:
        """The first place at or after `offset` of the lines where a series begins, or the file's end."""
        if not offset:
            return self._start
        last = self._start + offset - 1
        at = file.seek(max(self._start, last - LONGEST))
        at = file.seek(at + file.read(last - at).rfind(b"\n") + 1)  # the line that holds the byte before
        key = _read_key(file.readline())
        at = file.tell()
        while _read_key(line := file.readline()) == key:
            at += len(line)
        return at


class _States:
    """A sum over the states of files, which is the same in whatever order they come."""

    BYTES = 32

    def __init__(self) -> None:
        self.total = 0

    def add(self, listed: Listed) -> Listed:
        """Count a file, and hand it on."""
        state = hashlib.sha256(_encode(listed) + listed.state.encode("ascii")).digest()
        self.total = (self.total + int.from_bytes(state, "big")) % (1 << 8 * self.BYTES)
        return listed


def _sort(lines: Iterator[bytes], spool: IO[bytes]) -> Iterator[bytes]:
    """Lines by key, those of one key in the order in which they came; sorted in portions that wait in `spool`."""
    portions = []
    while portion := sorted(islice(lines, SORTED_AT_ONCE), key=_read_key):
        start = spool.tell()
        spool.writelines(portion)
        portions.append((start, spool.tell()))
    spool.flush()
    return heapq.merge(*(_read_lines(spool.fileno(), *each) for each in portions), key=_read_key)


def _read_lines(file: int, start: int, end: int) -> Iterator[bytes]:
    """Whole lines between two places of a file that others read as well; one open file for any number of portions."""
    torn = b""
    while start < end:
        read = os.pread(file, min(READ_AT_ONCE, end - start), start)
        start += len(read)
        *lines, torn = (torn + read).split(b"\n")
        yield from (line + b"\n" for line in lines)


def _read_key(line: bytes) -> bytes:
    return line.partition(b" ")[0]


def _encode(listed: Listed) -> bytes:
    """As ASCII, so that a name of bytes that are no text comes back as it was."""
    line = f"{'.'.join(listed.key)} {json.dumps(listed.name)}\n".encode("ascii")
    if len(line) > LONGEST:
        raise ManifestError("IN names a path that is longer than any can be; is it a list of paths, one a line?")
    return line


def _decode(line: bytes) -> Listed:
    try:
        key, _, name = line.decode("ascii").partition(" ")
        study, series = key.split(".")
        return Listed((study, series), str(json.loads(name)))
    except ValueError:
        raise ManifestError("A line of the manifest is damaged; make it again with `lungct bulk list`.") from None
