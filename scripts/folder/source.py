"""Where slices come from: a folder, a ZIP, a list of paths, one file. Names first, bytes when they are needed.

Every source names its slices in a fixed order, so that an interrupted run can go on where it stopped.
"""

from __future__ import annotations

import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn, Protocol

from lungct.settings import Settings

MAX_BYTES = Settings().max_bytes
NOISE = {"thumbs.db", "desktop.ini", "dicomdir", "__macosx"}  # no slices, whatever folder they are in
# All that zipfile raised for thousands of damaged ZIPs. It checks little itself: what zlib, lzma, bz2 (OSError,
# EOFError), utf-8 and seek (ValueError) say comes through; RuntimeError is a password or an unknown method.
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, RuntimeError)


class SourceError(Exception):
    """There is nothing to read here; the message says what was expected."""


class UnreadableError(Exception):
    """One file cannot be read; the others can.

    Attributes:
        code: "unreadable_file", or "too_many_bytes" as the server would say.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Source(Protocol):
    """Slices by name."""

    def names(self) -> Iterator[str]:
        """The names of all slices, always in the same order; SourceError where they cannot be told."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of one slice; UnreadableError when there are none or too many. Threads may call it."""
        ...


class Folder:
    """All files below a folder, folder by folder in order of name. Links are followed, each folder is read once."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> Iterator[str]:
        seen = set()
        for folder, below, files in os.walk(self._root, onerror=_refuse, followlinks=True):
            about = Path(folder).stat()
            if (about.st_dev, about.st_ino) in seen:  # a link that leads back, or a second one
                below.clear()
                continue
            seen.add((about.st_dev, about.st_ino))
            below[:] = sorted(name for name in below if not is_noise(name))
            inside = Path(folder).relative_to(self._root)
            for name in sorted(files):
                if not is_noise(name):
                    yield (inside / name).as_posix()

    def read(self, name: str) -> bytes:
        return _read_path(self._root / name)


class Archive:
    """The members of a ZIP, in order of name. Nothing is unpacked to disk, so a member's name can do no harm."""

    def __init__(self, archive: Path | IO[bytes]) -> None:
        try:
            self._zip = zipfile.ZipFile(archive)
        except _ZIP_FAULTS as exc:
            raise SourceError("The ZIP is damaged; pack it again.") from exc

    def names(self) -> Iterator[str]:
        files = sorted(info.filename for info in self._zip.infolist() if not info.is_dir())
        yield from (name for name in files if not any(is_noise(part) for part in PurePosixPath(name).parts))

    def read(self, name: str) -> bytes:
        try:
            with self._zip.open(name) as member:
                return _check_size(member.read(MAX_BYTES + 1))  # the size in the ZIP's directory may lie
        except _ZIP_FAULTS as exc:
            message = "This member of the ZIP is damaged or encrypted; pack it again without a password."
            raise UnreadableError("unreadable_file", message) from exc


class Listing:
    """A text file with one path a line; relative ones start at the list's own folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> Iterator[str]:
        with self._path.open(encoding="utf-8", errors="surrogateescape") as lines:
            yield from (line.strip() for line in lines if line.strip() and not line.startswith("#"))

    def read(self, name: str) -> bytes:
        return _read_path(self._path.parent / name)


class Single:
    """One file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> Iterator[str]:
        yield self._path.name

    def read(self, name: str) -> bytes:
        return _read_path(self._path)


def open_source(path: Path) -> Source:
    """The source at a path: a folder, a ZIP (told by its bytes), a list (told by .txt), or a file itself."""
    if path.is_dir():
        return Folder(path)
    if not path.is_file():
        raise SourceError(f"{path} does not exist.")
    if path.suffix.lower() == ".txt":
        return Listing(path)
    return Archive(path) if zipfile.is_zipfile(path) else Single(path)


def is_noise(name: str) -> bool:
    """Whether a file or folder is hidden or one of those that systems leave everywhere."""
    return name.startswith(".") or name.lower() in NOISE


def _refuse(error: OSError) -> NoReturn:
    raise SourceError(f"The folder {error.filename} cannot be read: {error.strerror}.") from error


def _read_path(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return _check_size(file.read(MAX_BYTES + 1))
    except OSError as exc:
        raise UnreadableError("unreadable_file", f"The file cannot be read: {exc.strerror}.") from exc


def _check_size(body: bytes) -> bytes:
    if len(body) > MAX_BYTES:
        raise UnreadableError("too_many_bytes", f"The file is larger than {MAX_BYTES >> 20} MB; send one slice.")
    return body
