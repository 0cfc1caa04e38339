"""The members of a ZIP, each opened by its entry. Nothing is unpacked to disk, so a member's name can do no harm."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lungct_tools.folder.naming import is_noise, normalise
from lungct_tools.folder.source import (
    MAX_BYTES,
    Entry,
    Folder,
    Listing,
    Single,
    Source,
    SourceError,
    UnreadableError,
    check_size,
    stamp_path,
)

MAX_MEMBERS = 100_000
# All that zipfile raised for thousands of damaged ZIPs. It checks little itself: what zlib, lzma, bz2 (OSError,
# EOFError), utf-8 and seek (ValueError) say comes through; RuntimeError is a password or an unknown method.
_ZIP_FAULTS = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, RuntimeError)
_DAMAGED = "This member of the ZIP is damaged; pack it again."
_ENCRYPTED = 0x1  # general purpose bit flag 0 (APPNOTE 4.4.4)
_DOS_FOLDER = 0x10  # of the external attributes


class Archive:
    """The slices of a ZIP, in order of name, then of place in the file: two members of one name are two slices.

    Args:
        archive: a path, or the open file.

    Raises:
        SourceError: it is damaged, or has more than MAX_MEMBERS members.
    """

    def __init__(self, archive: Path | IO[bytes]) -> None:
        self._stamp = stamp_path(archive) if isinstance(archive, Path) else ""
        try:
            self._zip = _Bounded(archive)
        except _ZIP_FAULTS as exc:
            raise SourceError("The ZIP is damaged; pack it again.") from exc

    def entries(self) -> Iterator[Entry]:
        found = []
        for info in self._zip.infolist():
            name = normalise(info.filename)
            if name and not _is_folder(info) and not any(map(is_noise, name.split("/"))):
                found.append(Entry(name, info))
        yield from sorted(found, key=lambda entry: (entry.name, entry.at.header_offset))

    def read(self, entry: Entry) -> bytes:
        info: zipfile.ZipInfo = entry.at
        if info.flag_bits & _ENCRYPTED:
            raise UnreadableError("unreadable_file", "This member of the ZIP is encrypted; pack it without a password.")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise UnreadableError("unreadable_file", "This member of the ZIP is a link; pack the file itself.")
        try:
            member = self._zip.open(info)
        except NotImplementedError as exc:
            message = "This member of the ZIP is packed by a method that is not read; pack it again by Deflate."
            raise UnreadableError("unreadable_file", message) from exc
        except _ZIP_FAULTS as exc:
            raise UnreadableError("unreadable_file", _DAMAGED) from exc
        with member:
            try:
                body = check_size(member.read(MAX_BYTES + 1))  # the size in the ZIP's directory may lie
            except _ZIP_FAULTS as exc:
                raise UnreadableError("unreadable_file", _DAMAGED, MAX_BYTES) from exc
        if is_zip(body):
            message = "A ZIP inside a ZIP is not opened; unpack it first."
            raise UnreadableError("unreadable_file", message, len(body))
        return body

    def stamp(self, entry: Entry) -> str:
        return self._stamp and f"{self._stamp}.{entry.at.header_offset}"


def _is_folder(info: zipfile.ZipInfo) -> bool:
    """By its name, or by what Unix or DOS says of it: not every packer ends the name with a separator."""
    said = stat.S_ISDIR(info.external_attr >> 16) or bool(info.external_attr & _DOS_FOLDER)
    return info.filename.endswith(("/", "\\")) or (said and not info.file_size)


class _Bounded(zipfile.ZipFile):
    """A ZIP of few enough members, counted while they are read: how many the ZIP says there are may be a lie."""

    class _Members(list[zipfile.ZipInfo]):
        def append(self, info: zipfile.ZipInfo) -> None:
            if len(self) == MAX_MEMBERS:
                raise SourceError(f"The ZIP holds more than {MAX_MEMBERS:,} members; unpack it and score the folder.")
            super().append(info)

    @property
    def filelist(self) -> list[zipfile.ZipInfo]:
        return self._members

    @filelist.setter
    def filelist(self, found: list[zipfile.ZipInfo]) -> None:
        self._members = self._Members(found)


def is_zip(body: bytes) -> bool:
    """Whether bytes begin as a ZIP and are no DICOM file behind such a preamble.

    `zipfile.is_zipfile` looks at the end instead, where one file of noise in 65,000 passes for a ZIP.
    """
    return body.startswith((b"PK\x03\x04", b"PK\x05\x06")) and body[128:132] != b"DICM"


def open_source(path: Path) -> Source:
    """The source at a path: a folder, a ZIP (told by its bytes), a list (told by .txt), or a file itself."""
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise SourceError(f"{path} does not exist.")
    if not path.is_file():
        raise SourceError(f"{path} is neither a folder nor an ordinary file; a pipe or device cannot be scored.")
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    if path.suffix.lower() == ".txt":
        return Listing(path)
    return Archive(path) if is_zip(head) else Single(path)
