"""What a person uploaded: files and ZIPs in, slices out, each known by its name and content."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from lungct_tools.folder.archive import Archive, is_zip
from lungct_tools.folder.naming import printable
from lungct_tools.folder.source import SourceError, UnreadableError
from lungct_tools.page.markup import plain

MAX_SLICES, MAX_TOTAL = 1000, 512 * 2**20  # what one browser session may hold: slices, bytes


@dataclass(frozen=True)
class Upload:
    """One slice as it came.

    Attributes:
        fault: why it could not be read; then there are no bytes.
        loose: it was chosen by itself, so that no folder says what it belongs to.
        drawn: it is one of the page's examples.
    """

    name: str
    body: bytes
    fault: UnreadableError | None = None
    loose: bool = False
    drawn: bool = False

    @property
    def stem(self) -> str:
        """A name for files made from it: without folders and suffix, and with its content's mark."""
        return f"{PurePosixPath(self.name).stem}-{self.mark}"

    @cached_property
    def mark(self) -> str:
        """Eight hexadecimal digits of the content, which tell it from others of its name."""
        return hash_content(self.body)[:8]


def unpack(uploads: Sequence[Upload]) -> tuple[list[Upload], list[str]]:
    """Slices from files and ZIPs, and sentences in Markdown about what was left out.

    What counts against the page's limits is what was read, whether it came to a slice or not.
    """
    slices: list[Upload] = []
    notes: list[str] = []
    total = 0
    for slice_ in _members(uploads, notes):
        total += slice_.fault.read if slice_.fault else len(slice_.body)
        if len(slices) == MAX_SLICES or total > MAX_TOTAL:
            notes.append(
                f"Only the first {len(slices)} slices are shown: a page holds {MAX_SLICES} slices or "
                f"{MAX_TOTAL >> 20} MB. Score larger sets with `make score IN=folder OUT=results`."
            )
            break
        slices.append(slice_)
    return slices, notes


def hash_content(body: bytes) -> str:
    """sha256 in hexadecimal."""
    return hashlib.sha256(body).hexdigest()


def _members(uploads: Sequence[Upload], notes: list[str]) -> Iterator[Upload]:
    for upload, name in zip(uploads, name_apart(uploads), strict=True):
        if not is_zip(upload.body):
            yield Upload(name, upload.body, loose=True)
            continue
        try:
            archive = Archive(io.BytesIO(upload.body))
        except SourceError as error:
            notes.append(f"{plain(name)}: {error}")
            continue
        folder = f"{name}/" if len(uploads) > 1 else ""
        entries = list(archive.entries())
        if not entries:
            notes.append(f"{plain(name)} holds no files.")
        for entry in entries:
            told = folder + printable(entry.name)
            try:
                yield Upload(told, archive.read(entry))
            except UnreadableError as error:
                yield Upload(told, b"", error)


def name_apart(uploads: Iterable[Upload]) -> Iterator[str]:
    """The uploads' names; where several have one, each is told with its content's mark: IM0001 is in every study."""
    uploads = list(uploads)
    counts = Counter(upload.name for upload in uploads)
    for upload in uploads:
        name = printable(upload.name)
        yield f"{name} ({upload.mark})" if counts[upload.name] > 1 else name
