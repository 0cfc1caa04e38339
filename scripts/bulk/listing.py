"""Which series each file of an input belongs to, told by its head, in as many processes as there are cores."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypeVar

from lungct.errors import LungCTError
from lungct.pixels.formats import recognise
from lungct_tools.bulk.place import read_start, read_state, read_whole
from lungct_tools.folder.header import find_place
from lungct_tools.folder.record import describe_place, identify_series
from lungct_tools.folder.scoring import run_ordered
from lungct_tools.folder.source import MAX_BYTES, Entry, Source, UnreadableError

HEAD = 65536  # bytes; a CT header is some 5 kB, in archives that keep private elements some 30 kB
PORTION = 256  # files that a process takes at once
READERS = 32  # of them from a bucket at a time

T = TypeVar("T")


class Listed(NamedTuple):
    """A file and its series.

    Attributes:
        key: hashes of study and series, as `describe_place` has them; files of one key belong together.
        name: of the file, as `Entry` has it.
        state: what changes when the file is written to, as `read_state` has it; "" where it cannot be asked.
    """

    key: tuple[str, str]
    name: str
    state: str = ""


def find_series(entry: Entry) -> tuple[str, str]:
    """The key of a file's series, as its row will have it; one that cannot be read whole belongs to its folder."""
    try:
        head = read_start(entry.at, HEAD)
        if len(head) == HEAD and read_state(entry.at)[0] > MAX_BYTES:
            return identify_series(describe_place(entry.name, None))
        place = find_place(head)
        if len(head) == HEAD and _is_dicom(head) and not (place and place.series and _holds(head, place.series)):
            place = find_place(read_whole(entry.at))
    except UnreadableError:
        place = None
    return identify_series(describe_place(entry.name, place))


def list_series(source: Source, processes: int) -> Iterator[Listed]:
    """Every entry of a source with its series, in the order of the source."""
    entries = source.entries()
    portions = iter(lambda: list(islice(entries, PORTION)), [])
    if processes == 1:
        found: Iterable[Sequence[Listed]] = map(_find_all, portions)
        yield from (listed for portion in found for listed in portion)
        return
    # Not forked: the threads that hand the portions out may hold a lock.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        handed = run_ordered(lambda each: pool.submit(_find_all, each).result(), portions, processes, threading.Event())
        for portion in handed:
            yield from portion


def _find_all(entries: Sequence[Entry]) -> list[Listed]:
    if isinstance(entries[0].at, Path):
        return [*map(_find, entries)]
    with ThreadPoolExecutor(READERS) as pool:  # a bucket answers late, and many at a time
        return [*pool.map(_find, entries)]


def _find(entry: Entry) -> Listed:
    return Listed(find_series(entry), entry.name, read_state(entry.at)[1])


def _is_dicom(head: bytes) -> bool:
    try:
        return recognise(head) == "DICOM"
    except LungCTError:
        return False


def _holds(head: bytes, uid: str) -> bool:
    """False for a UID that may have been cut short where the head ends."""
    return not head.rstrip(b"\0 ").endswith(uid.encode("utf-8", "backslashreplace"))
