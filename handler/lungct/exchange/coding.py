"""A body's content coding, undone before anything reads it: TorchServe hands it over as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lungct import pixels
from lungct.errors import LungCTError
from lungct.exchange.form import is_form

GZIP = ("gzip", "x-gzip")  # RFC 9110, 8.4.1.3
ONLY = "Content-Encoding may be gzip, or nothing at all; send the file as it is."


def undo(row: Mapping[str, Any], headers: Mapping[str, Any], max_bytes: int) -> Mapping[str, Any]:
    """The row with its body as it was before it was compressed.

    Args:
        row: as TorchServe hands it over.
        headers: request headers in the client's casing.
        max_bytes: the most that the body may have once it is inflated.

    Raises:
        LungCTError: unsupported_format for another coding or a compressed form, corrupt_image for damaged gzip,
            too_many_bytes.
    """
    named = {name.lower(): value for name, value in headers.items() if isinstance(value, str)}
    coding = named.get("content-encoding", "").strip().lower()
    if coding in ("", "identity"):
        return row
    if coding not in GZIP:
        raise LungCTError("unsupported_format", ONLY)
    body = row.get("body")
    if is_form(named.get("content-type", "")) or not isinstance(body, bytes | bytearray):
        raise LungCTError("unsupported_format", "A form may not be compressed; send it as it is, or the file itself.")
    return {**row, "body": pixels.inflate(bytes(body), max_bytes)}
