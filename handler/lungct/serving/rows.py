"""A request's body and headers -> the row and the headers that `exchange.parse` reads, as TorchServe makes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from lungct.errors import LungCTError
from lungct.exchange import CUT_OFF, LOST, SEVERAL, is_form, read_fields

logging.getLogger("python_multipart").setLevel(logging.CRITICAL + 1)  # its lines quote bytes of an upload
MAX_PARTS = 64  # millions of empty ones would keep a worker busy for seconds
PLAIN = (b"", b"7bit", b"8bit", b"binary")
UNUSABLE = (
    "A part of the form has no name or is encoded, or there are too many; send one part named data with the file's "
    "bytes as they are, or the file itself as the body."
)


def read_row(body: bytes, headers: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row of one request, and its headers with those of a form's parts.

    What is no form, though its header says so, is a body.

    Args:
        headers: names in lower case.

    Raises:
        LungCTError: bad_option for parts of one name, without a name, of several files, encoded or too many; empty_body
            for a form that was cut off.
    """
    kind, options = parse_options_header(headers.get("content-type", ""))
    if kind == b"multipart/form-data" and options.get(b"boundary"):
        row, kinds = _Form().read(body, options[b"boundary"])
        return row, {**{name: {"content-type": each} for name, each in kinds.items()}, **headers}
    if kind == b"application/x-www-form-urlencoded":
        return read_fields(body), dict(headers)
    return {"body": body}, {"body": {"content-type": kind.decode("latin-1")}, **headers}


class _Form:
    """Collects the parts of one form from a parser's calls."""

    def __init__(self) -> None:
        self._row: dict[str, bytes] = {}
        self._kinds: dict[str, str] = {}
        self._headers: dict[bytes, bytes] = {}
        self._field = self._value = b""
        self._data = bytearray()
        self._ended = False

    def read(self, body: bytes, boundary: bytes) -> tuple[dict[str, bytes], dict[str, str]]:
        """Parts by name, and the content types of those that are files."""
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._add_field,
                "on_header_value": self._add_value,
                "on_header_end": self._keep_header,
                "on_part_data": self._add_data,
                "on_part_end": self._keep_part,
                "on_end": self._end,
            },
        )
        try:
            parser.write(body)
        except FormParserError:
            raise LungCTError("empty_body", CUT_OFF) from None
        if not self._ended:
            raise LungCTError("empty_body", CUT_OFF)
        return self._row, self._kinds

    def _begin(self) -> None:
        self._headers, self._data = {}, bytearray()

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _keep_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._data += memoryview(data)[start:end]

    def _keep_part(self) -> None:
        _, said = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = said.get(b"name", b"").decode("utf-8", "replace")
        encoding = self._headers.get(b"content-transfer-encoding", b"").strip().lower()
        if not name or encoding not in PLAIN or len(self._row) == MAX_PARTS:
            raise LungCTError("bad_option", UNUSABLE)
        kind = self._headers.get(b"content-type", b"application/octet-stream").decode("latin-1")
        if name in self._row or is_form(kind):  # of one name, or several in one (RFC 7578, 4.3)
            raise LungCTError("bad_option", LOST if name in self._row else SEVERAL)
        self._row[name] = bytes(self._data)
        if b"filename" in said:
            self._kinds[name] = kind

    def _end(self) -> None:
        self._ended = True
