"""JSON as a client sent it, of which no field is lost."""

from __future__ import annotations

import json
from typing import Any

from lungct.errors import LungCTError
from lungct.pixels import find_text

MOST_PARTS = 200  # of a document: commas and brackets, of which base64 has none
TWICE = "Two fields of the JSON have one name; give each once. One request is one slice, score many with: make score."


def is_begun(body: bytes | bytearray) -> bool:
    """Whether a body begins as a JSON object; Windows writes a byte order mark before it, or UTF-16."""
    return find_text(body)[:1] == b"{"


def load(text: bytes | str) -> Any:
    """The document; ValueError or RecursionError where it is none, LungCTError bad_option for a name that stands twice.

    Python's own reader keeps the last of two. ValueError for too many parts, too: millions take it seconds, and those
    within each other are as many calls.
    """
    marks = ",[{" if isinstance(text, str) else (b",", b"[", b"{")
    if sum(map(text.count, marks)) > MOST_PARTS:  # type: ignore[arg-type]
        raise ValueError
    return json.loads(text, object_pairs_hook=_read_object)


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise LungCTError("bad_option", TWICE)
    return found
