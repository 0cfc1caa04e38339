"""What the server said of the slices that a person uploaded: everything the page knows, without Streamlit.

It lives in the memory of one browser session and ends with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import Any
from uuid import uuid4

from lungct.errors import LungCTError
from lungct.pixels.image import Plane, Slice, decode, read_plane
from lungct.settings import Settings
from lungct.window import Window
from lungct_client import Client, Gateway, Local, RefusedError, ServerError, TokenError
from lungct_tools.folder.header import Place, find_place
from lungct_tools.folder.record import Row, describe_file, describe_place, describe_reply, identify_series
from lungct_tools.folder.rollup import Totals, add_up
from lungct_tools.page.advice import explain_failure
from lungct_tools.page.picture import make_thumbnail
from lungct_tools.page.uploads import Upload, hash_content

IN_FLIGHT = 8
DEADLINE_S = 8.0  # a person waits; a script may wait longer
Key = tuple[str, str]  # of a finding
OPTIONS = {"heatmap": "always", "heatmap_format": "grid"}  # grids cost the server nothing; the page draws


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

    @property
    def key(self) -> Key:
        """Its name and its content's mark: two members of a ZIP may have one name. Unreadable ones share it, too."""
        return self.name, self.upload.mark

    @cached_property
    def series(self) -> tuple[str, str]:
        """Its series, as a scored folder has it."""
        return identify_series(describe_place(self.name, self.place))

    @property
    def in_series(self) -> bool:
        """Whether its header or its folder says of what series it is; pictures chosen together are none for that."""
        return bool(self.place and self.place.series) or not self.upload.loose

    @cached_property
    def row(self) -> Row:
        """The same row that a scored folder gets; without a series where there is none."""
        row = describe_file(self.name, self.upload.body)
        row |= {} if self.in_series else {"series": ""}
        return row | (describe_reply(self.reply) if self.reply else {"error": self.error, "message": self.message})


@dataclass(frozen=True)
class Study:
    """All findings, series by series, and why it ended early if it did.

    Attributes:
        token: tells it from any other, of the same files, too.
    """

    findings: list[Finding] = field(default_factory=list)
    failure: str = ""
    token: str = field(default_factory=lambda: uuid4().hex)

    @property
    def mark(self) -> str:
        """Eight hexadecimal digits of all contents, for files made from it."""
        return hash_content("".join(finding.upload.mark for finding in self.findings).encode())[:8]

    def series(self) -> list[list[Finding]]:
        """Findings by series, each from head to feet; files without a DICOM header by folder, and by name in it.

        Series of which no slice was scored come last: the first one is what a person sees.
        """
        ordered = sorted(self.findings, key=_series_order)
        groups = [list(group) for _, group in groupby(ordered, key=lambda f: f.series)]
        return sorted(groups, key=lambda group: all(finding.reply is None for finding in group))


def judge_series(group: list[Finding], classes: Sequence[str]) -> Totals:
    """What a folder of this series alone would come to, by the same rule: its one row, and why slices were refused."""
    return add_up((finding.row for finding in group), classes, 0)


def connect(server: Local | Gateway) -> Client:
    """A client for a person who waits: no attempt starts after DEADLINE_S, and none takes longer than that."""
    return Client(server, deadline_s=DEADLINE_S, timeout_s=DEADLINE_S)


def analyze(
    client: Client, uploads: Sequence[Upload], default: Window, advance: Callable[[Sequence[Finding]], None]
) -> Study:
    """Score all slices; a refused one becomes a finding with its error, a failing server ends the study early.

    Args:
        default: the model's window, for the thumbnails.
        advance: told what is known so far, after each slice.
    """
    findings: list[Finding] = []
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        futures = [pool.submit(_score, client, upload, default) for upload in uploads]
        try:
            for future in futures:
                findings.append(future.result())
                advance(findings)
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


def view_plane(upload: Upload) -> Plane | None:
    """The HU of a DICOM slice, for windows of one's own; None for pictures and for what cannot be decoded."""
    try:
        return read_plane(upload.body, Settings())
    except LungCTError:
        return None


def _score(client: Client, upload: Upload, default: Window) -> Finding:
    if upload.fault:
        return Finding(upload, error=upload.fault.code, message=str(upload.fault))
    place = find_place(upload.body)
    try:
        reply = client.predict(upload.body, **OPTIONS)
    except RefusedError as error:
        return Finding(upload, place, error=error.code, message=str(error))
    seen = view(upload, None, default)
    return Finding(upload, place, reply, thumbnail=make_thumbnail(seen.pixels) if seen else "")


def _series_order(finding: Finding) -> tuple[bool, tuple[str, str], float, list[tuple[int, str]]]:
    order = finding.place.order if finding.place else 0.0
    parts = re.split(r"(\d+)", finding.name)
    # Numbers by their length first: int() reads 4300 digits at most, and a name in a ZIP may have more.
    by_name = [(len(part.lstrip("0")), part.lstrip("0")) if part.isdecimal() else (0, part) for part in parts]
    return bool(finding.place and finding.place.series), finding.series, order, by_name
