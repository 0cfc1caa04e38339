"""What a person uploaded and what the server said of it: everything the page knows, without Streamlit.

It lives in the memory of one browser session and ends with it.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from lungct.errors import LungCTError
from lungct.pixels.image import Slice, decode
from lungct.settings import Settings
from lungct.window import Window
from lungct_client import Client, Gateway, Local, RefusedError, ServerError, TokenError
from lungct_tools.folder.header import Place, find_place
from lungct_tools.folder.record import Row, describe_file, describe_reply
from lungct_tools.folder.source import Archive, SourceError, UnreadableError
from lungct_tools.page.advice import explain_failure
from lungct_tools.page.markup import plain
from lungct_tools.page.picture import make_thumbnail

MAX_SLICES, MAX_TOTAL = 1000, 512 * 2**20  # what one browser session may hold: slices, bytes
IN_FLIGHT = 8
DEADLINE_S = 8.0  # a person waits; a script may wait longer
OPTIONS = {"heatmap": "always", "heatmap_format": "grid"}  # grids cost the server nothing; the page draws


@dataclass(frozen=True)
class Upload:
    """One slice as it came."""

    name: str
    body: bytes

    @property
    def stem(self) -> str:
        """The name without folders and suffix, for files made from it."""
        return PurePosixPath(self.name).stem


@dataclass(frozen=True)
class Finding:
    """One slice and what is known of it.

    Attributes:
        reply: the server's reply, None when it refused the file.
        error: its stable error code, "" without one.
        message: its sentence.
        thumbnail: a small picture as a data address, "" when the file cannot be decoded.
    """

    upload: Upload
    place: Place | None = None
    reply: dict[str, Any] | None = None
    error: str = ""
    message: str = ""
    thumbnail: str = ""

    @property
    def name(self) -> str:
        return self.upload.name

    def as_row(self) -> Row:
        """The same row that a scored folder gets."""
        row = describe_file(self.name, self.upload.body)
        return row | (describe_reply(self.reply) if self.reply else {"error": self.error, "message": self.message})


@dataclass(frozen=True)
class Study:
    """All findings, series by series, and why it ended early if it did."""

    findings: list[Finding] = field(default_factory=list)
    failure: str = ""

    def series(self) -> list[list[Finding]]:
        """Findings by series, each from head to feet; files without a DICOM header are one series by name.

        Series of which no slice was scored come last: the first one is what a person sees.
        """
        ordered = sorted(self.findings, key=_series_order)
        groups = [list(group) for _, group in groupby(ordered, key=_series_key)]
        return sorted(groups, key=lambda group: all(finding.reply is None for finding in group))


def unpack(uploads: Iterable[Upload]) -> tuple[list[Upload], list[str]]:
    """Slices from files and ZIPs, and sentences in Markdown about what was left out."""
    slices: list[Upload] = []
    notes: list[str] = []
    total = 0
    for slice_ in _members(uploads, notes):
        total += len(slice_.body)
        if len(slices) == MAX_SLICES or total > MAX_TOTAL:
            notes.append(
                f"Only the first {len(slices)} slices are shown: a page holds {MAX_SLICES} slices or "
                f"{MAX_TOTAL >> 20} MB. Score larger sets with `make score IN=folder OUT=results`."
            )
            break
        slices.append(slice_)
    return slices, notes


def connect(server: Local | Gateway) -> Client:
    """A client for a person who waits: no attempt starts after DEADLINE_S, and none takes longer than that."""
    return Client(server, deadline_s=DEADLINE_S, timeout_s=DEADLINE_S)


def analyze(client: Client, uploads: list[Upload], default: Window, advance: Callable[[int], None]) -> Study:
    """Score all slices; a refused one becomes a finding with its error, a failing server ends the study early.

    Args:
        default: the model's window, for the thumbnails.
        advance: told how many are done.
    """
    findings: list[Finding] = []
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        futures = [pool.submit(_score, client, upload, default) for upload in uploads]
        try:
            for future in futures:
                findings.append(future.result())
                advance(len(findings))
        except (ServerError, TokenError) as error:
            for future in futures:
                future.cancel()
            return Study(findings, explain_failure(error))
    return Study(findings)


def view(upload: Upload, window: Window | None, default: Window) -> Slice | None:
    """The slice's pixels for looking at; None when it cannot be decoded."""
    try:
        return decode(upload.body, window, None, default, Settings())
    except LungCTError:
        return None


def _score(client: Client, upload: Upload, default: Window) -> Finding:
    place = find_place(upload.body)
    try:
        reply = client.predict(upload.body, **OPTIONS)
    except RefusedError as error:
        return Finding(upload, place, error=error.code, message=str(error))
    seen = view(upload, None, default)
    return Finding(upload, place, reply, thumbnail=make_thumbnail(seen.pixels) if seen else "")


def _members(uploads: Iterable[Upload], notes: list[str]) -> Iterator[Upload]:
    for upload in uploads:
        if not zipfile.is_zipfile(io.BytesIO(upload.body)):
            yield upload
            continue
        try:
            archive = Archive(io.BytesIO(upload.body))
        except SourceError as error:
            notes.append(f"{plain(upload.name)}: {error}")
            continue
        for name in archive.names():
            try:
                yield Upload(name, archive.read(name))
            except UnreadableError as error:
                notes.append(f"{plain(name)}: {error}")


def _series_key(finding: Finding) -> tuple[str, str]:
    return (finding.place.study, finding.place.series) if finding.place else ("", "")


def _series_order(finding: Finding) -> tuple[tuple[str, str], float, list[tuple[int, str]]]:
    order = finding.place.order if finding.place else 0.0
    parts = re.split(r"(\d+)", finding.name)
    return _series_key(finding), order, [(int(part), "") if part.isdecimal() else (0, part) for part in parts]
