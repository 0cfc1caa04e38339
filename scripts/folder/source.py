"""Where slices come from: a folder, a ZIP, a list of paths, one file. Entries first, bytes when they are needed.

Every source has its entries in a fixed order, so that an interrupted run can go on where it stopped.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol

from lungct.settings import Settings
from lungct_tools.folder.naming import is_noise

MAX_BYTES = Settings().max_bytes
_LEFT_BY_COPY = "\ufeff\x1a"
# Bytes of a name that are no UTF-8, as Python keeps them, in the usual code pages of Windows and of its console.
_CODE_PAGES = [
    {0xDC00 + byte: bytes([byte]).decode(page, "replace") for byte in range(0x80, 0x100)}
    for page in ("cp1252", "cp850", "cp437")
]


class SourceError(Exception):
    """There is nothing to read here; the message says what was expected."""


class UnreadableError(Exception):
    """One file cannot be read; the others can.

    Attributes:
        code: "unreadable_file", or "too_many_bytes" as the server would say.
        read: bytes that were read, or unpacked, at most, before it was known.
    """

    def __init__(self, code: str, message: str, read: int = 0) -> None:
        super().__init__(message)
        self.code, self.read = code, read


class Entry(NamedTuple):
    """One slice of a source. Several may have one name: what opens it is `at`.

    Attributes:
        name: from the source's root, `/` between folders.
        at: the source's own: a path, or a member of a ZIP.
    """

    name: str
    at: Any


class Source(Protocol):
    """Slices, one entry each."""

    def entries(self) -> Iterator[Entry]:
        """All slices, always in the same order; SourceError where they cannot be told."""
        ...

    def read(self, entry: Entry) -> bytes:
        """The bytes of one slice; UnreadableError when there are none or too many. Threads may call it."""
        ...

    def stamp(self, entry: Entry) -> str:
        """What changes whenever the bytes do, told without reading them; "" where it cannot be told."""
        ...


class Files:
    """What sources have in common whose entries lie at paths."""

    def read(self, entry: Entry) -> bytes:
        return read_path(entry.at)

    def stamp(self, entry: Entry) -> str:
        return stamp_path(entry.at)


class Folder(Files):
    """All files below a folder, folder by folder in order of name. Links are followed, each folder is read once."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self) -> Iterator[Entry]:
        seen = set()
        for folder, below, files in os.walk(self._root, onerror=_refuse, followlinks=True):
            try:
                about = Path(folder).stat()
            except OSError as error:  # it has gone since it was listed
                _refuse(error)
            if (about.st_dev, about.st_ino) in seen:  # a link that leads back, or a second one
                below.clear()
                continue
            seen.add((about.st_dev, about.st_ino))
            below[:] = sorted(name for name in below if not is_noise(name))
            inside = Path(folder).relative_to(self._root)
            for name in sorted(files):
                if not is_noise(name):
                    yield Entry((inside / name).as_posix(), Path(folder, name))


class Listing(Files):
    """A text file with one path a line; relative ones start at the list's own folder.

    UTF-8, or UTF-16 or UTF-32 as Windows writes them. A byte order mark is no part of a name, wherever `copy a+b` left
    one, nor is the Ctrl-Z that it ends with, nor are the quotes of "Copy as path". A path that is not there is spelled
    as `spell` has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> Iterator[Entry]:
        with self._path.open("rb") as file:
            encoding = _tell_encoding(file.read(4))
        errors = "surrogateescape" if encoding == "utf-8-sig" else "replace"
        try:
            with self._path.open(encoding=encoding, errors=errors) as lines:
                for line in (each.strip().strip(_LEFT_BY_COPY).strip() for each in lines):
                    if line and not line.startswith("#"):
                        name = line[1:-1] if len(line) > 2 and line[0] == line[-1] == '"' else line
                        name = spell(self._path.parent, name)
                        yield Entry(name, self._path.parent / name)
        except UnicodeError as error:
            raise SourceError(f"The list {self._path} is no text; write one path a line, in UTF-8.") from error


class Single(Files):
    """One file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entries(self) -> Iterator[Entry]:
        yield Entry(self._path.name, self._path)


def locate(folder: Path, name: str) -> Path:
    """Where a name that starts at a folder leads."""
    return folder / spell(folder, name)


def spell(folder: Path, name: str) -> str:
    """A name that starts at a folder; as Windows writes it where nothing is there else.

    That is with backslashes between folders, and what is no UTF-8 in one of its code pages.
    """
    slashed = name.replace("\\", "/")
    spellings = dict.fromkeys((name, slashed, *map(slashed.translate, _CODE_PAGES)))
    return next((each for each in spellings if os.path.lexists(folder / each)), slashed)


def read_path(path: Path) -> bytes:
    """The bytes of a file of at most MAX_BYTES; UnreadableError as `read_head`, and when it is larger."""
    return check_size(read_head(path, MAX_BYTES + 1))


def read_head(path: Path, count: int) -> bytes:
    """The first `count` bytes of a file, or all where it has fewer.

    Raises:
        UnreadableError: it is not there, or no ordinary file: a pipe or a device could keep us waiting for ever, or
            never end.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # before it is opened: to open a device can do something by itself
            raise UnreadableError("unreadable_file", "It is no ordinary file, but a folder, pipe, socket or device.")
        # should it have become a pipe since, neither open nor read wait
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            # as much as there should be: room for `count` bytes would cost more than to read most files
            some = min(count, os.fstat(file.fileno()).st_size + 1)
            body = file.read(some) or b""
            return body if len(body) < some else body + (file.read(count - some) or b"")
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
        reason = getattr(exc, "strerror", None) or "its name is none"
        raise UnreadableError("unreadable_file", f"The file cannot be read: {reason}.") from exc


def stamp_path(path: Path) -> str:
    """Size, times and number of a file; "" where it cannot be asked.

    No program can set the time of the last change of the inode, so a file of equal size that was put in a file's place
    is noticed even where its date was kept.
    """
    try:
        about = path.stat()
    except (OSError, ValueError):
        return ""
    return f"{about.st_size}.{about.st_mtime_ns}.{about.st_ctime_ns}.{about.st_ino}"


def check_size(body: bytes) -> bytes:
    """The bytes; UnreadableError when they are more than the server takes."""
    if len(body) > MAX_BYTES:
        message = f"The file is larger than {MAX_BYTES >> 20} MB; send one slice."
        raise UnreadableError("too_many_bytes", message, len(body))
    return body


def _refuse(error: OSError) -> NoReturn:
    raise SourceError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error


def _tell_encoding(head: bytes) -> str:
    """By its byte order mark, or without one by the noughts that UTF-16 has in the first ASCII character."""
    if head in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return {b"\0": "utf-16-le"}.get(head[1:2]) or {b"\0": "utf-16-be"}.get(head[:1]) or "utf-8-sig"
