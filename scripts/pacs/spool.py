"""All series of one process on disk, with a lock, a quota and a journal that a person can read. Patient data: 0700."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from pydicom.dataset import Dataset

from lungct_tools.folder.source import UnreadableError
from lungct_tools.pacs.disk import FILE_MODE, make_folder
from lungct_tools.pacs.folder import SeriesFolder
from lungct_tools.server.runfolder import RunFolderError, claim, close_empty, resolve
from lungct_tools.server.scribe import LIMIT, append

_PLACE = ("InstanceNumber", "ImagePositionPatient")
NAME_DIGITS = 24  # of SHA-256: 96 bits


class SpoolError(Exception):
    """The spool cannot be used; the message says what to do."""


class FullError(Exception):
    """There is no room for another slice now."""


class Spool:
    """The folder of all series; one process may have it open.

    Args:
        root: made if missing; nobody else may read it.
        quota: bytes that slices and results may take.

    Raises:
        SpoolError: another process has it, or it is another user's, who could have prepared links in it.
    """

    def __init__(self, root: Path, quota: int) -> None:
        try:
            root = resolve(root)
            close_empty(root)
            claim(root)
        except RunFolderError as error:
            raise SpoolError(f"{error} --spool names another spool.") from None
        make_folder(root / "series")
        self.root, self._quota = root, quota
        self._mutex, self._journal_mutex = threading.Lock(), threading.Lock()
        self._lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise SpoolError(f"Another process uses the spool {root}; stop it, or name another --spool.") from None
        self._used = sum(series.size() for series in self.series())

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def series(self) -> Iterator[SeriesFolder]:
        """All series that are there, closed ones too."""
        yield from list_series(self.root)

    def put(self, body: bytes, header: Dataset) -> tuple[SeriesFolder, str | None]:
        """Keep a slice: its series, and its name if it is new. On disk for good when this returns.

        Raises:
            FullError: quota or disk are used up; what was there is unharmed.
            UnreadableError: uid_used_twice, see `check_copy`.
        """
        series = SeriesFolder(self.root / "series" / hash_name(header.StudyInstanceUID, header.SeriesInstanceUID))
        with self._mutex:
            if self._used + len(body) > self._quota:
                raise FullError("The spool's quota is used up.")
            try:
                name = hash_name(header.SOPInstanceUID)
                if series.holds(name):
                    check_copy(header, series.header(name), lambda: series.read(name) == body)
                new = series.put(name, body, header)
            except OSError as error:
                raise FullError(f"The spool cannot be written: {error.strerror}.") from error
            self._used += len(body) * new
        return series, name if new else None

    def charge(self, size: int) -> None:
        """Count bytes of a result towards the quota. It is there already: slices wait until there is room again."""
        with self._mutex:
            self._used += size

    def close_if(self, series: SeriesFolder, done: Callable[[SeriesFolder], bool]) -> bool:
        """Delete the data of a series if it is done, with no slice arriving in between; whether it was."""
        with self._mutex:
            if not done(series):
                return False
            series.close()
            self._used = sum(each.size() for each in self.series())
        self.note("deleted", series)
        return True

    def note(self, event: str, series: SeriesFolder | None = None, **numbers: Any) -> None:
        """One line in the journal: hashes, counts and codes, never a name or UID of a peer's data."""
        line = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "event": event}
        if series:
            line["series"] = series.name
        with self._journal_mutex, suppress(OSError):  # a full disk loses the line and nothing else
            append(self.root / "journal.jsonl", json.dumps({**line, **numbers}).encode() + b"\n", LIMIT)


def list_series(root: Path) -> Iterator[SeriesFolder]:
    """All series of a spool, which may be in use."""
    for path in sorted((root / "series").glob("*")):
        if path.is_dir():
            yield SeriesFolder(path)


def check_copy(header: Dataset, known: Dataset, is_equal: Callable[[], bool]) -> None:
    """Nothing for the same slice once more, in whatever transfer syntax.

    Args:
        is_equal: whether the files are equal, which has to tell where neither says what place it has in its series.

    Raises:
        UnreadableError: uid_used_twice for another slice with the SOP instance UID of a known one. Results refer to
            images by that UID, so only one of the two can have a result, and whoever sends the other must hear of it.
    """
    here, there = ([each.get(keyword) for keyword in _PLACE] for each in (header, known))
    if here != there or (here == [None, None] and not is_equal()):
        message = "Another slice has its SOP Instance UID; export the series again."
        raise UnreadableError("uid_used_twice", message)


def hash_name(*uids: str) -> str:
    """What a UID is called on disk; no word of a peer becomes a path."""
    if not all(uids):
        raise UnreadableError("unsupported_dicom", "The file has no UID of its series.")
    return sha256("/".join(map(str, uids)).encode()).hexdigest()[:NAME_DIGITS]
