"""A form's parts, counted before TorchServe sees them: it keeps the last of a name, and none that was cut off."""

from __future__ import annotations

import logging
from collections import Counter

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from lungct.errors import LungCTError
from lungct.exchange.form import is_form

logging.getLogger("python_multipart").setLevel(logging.CRITICAL + 1)  # its lines quote bytes of an upload
WHERE = "or send the file itself as the body"
NO_FORM = (
    f"A multipart body must be multipart/form-data with its boundary in the Content-Type; send such a form, {WHERE}."
)
CUT_OFF = f"The form ends before its last boundary; send it whole, {WHERE}."
ASKEW = (
    "The form does not begin with the boundary that the header says, or not all lines around its parts end in CR LF "
    f"(RFC 2046, 5.1.1); let a library make it, {WHERE}."
)
ENCODED = f"A part of the form is encoded (Content-Transfer-Encoding); send its bytes as they are, {WHERE}."
PLAIN = ("", "7bit", "8bit", "binary")  # TorchServe fails on any other; RFC 7578 4.7 has clients use none
NAMELESS = f"A part of the form has no name; call the file's part data, {WHERE}."
SEVERAL = (
    "Two parts of the form have one name, or one part holds several: one request is one slice, and the server batches "
    "requests by itself. Score many files with: make score IN=folder OUT=results."
)
TOO_MANY = f"The form has more parts than a file and its options need; send those alone, {WHERE}."
CHUNK = 2**20
_BLANKED = bytes.maketrans(b"\t:,=;", b"     ")
MAX_PARTS = 64  # millions of empty ones would keep the gateway busy for seconds


class _Parts:
    """The headers of a form's parts as a parser finds them."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.ended = False
        self._field = self._value = b""

    def callbacks(self) -> dict:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_field,
            "on_header_value": self._add_value,
            "on_header_end": self._keep,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.headers) == MAX_PARTS:
            raise LungCTError("bad_option", TOO_MANY)
        self.headers.append({})

    def _add_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _keep(self) -> None:
        self.headers[-1][self._field.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._field = self._value = b""

    def _end(self) -> None:
        self.ended = True


def check(content_type: str, body: bytes) -> None:
    """Refuse what TorchServe would read in part and say nothing of.

    Args:
        content_type: header of the request.
        body: all of it.

    Raises:
        LungCTError: bad_option for parts of one name (RFC 7578, 4.3), without a name, encoded or too many, empty_body
            where the form does not end, unsupported_format where it is no form.
    """
    kind, parameters = parse_options_header(content_type)
    boundary = parameters.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise LungCTError("unsupported_format", NO_FORM)
    parts = _read(boundary, body)
    if not all(headers.get("content-transfer-encoding", "").strip().lower() in PLAIN for headers in parts):
        raise LungCTError("bad_option", ENCODED)
    names = Counter(_find_name(headers) for headers in parts)
    if None in names:
        raise LungCTError("bad_option", NAMELESS)
    if max(names.values(), default=0) > 1 or any(is_form(headers.get("content-type", "")) for headers in parts):
        raise LungCTError("bad_option", SEVERAL)


def _read(boundary: bytes, body: bytes) -> list[dict[str, str]]:
    parts = _Parts()
    view = memoryview(body)
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        for start in range(0, len(body), CHUNK):
            parser.write(bytes(view[start : start + CHUNK]))
    except FormParserError:
        raise LungCTError("empty_body", ASKEW) from None
    if not parts.ended:
        raise LungCTError("empty_body", CUT_OFF)
    return parts.headers


def _find_name(headers: dict[str, str]) -> bytes | None:
    """As TorchServe's parser has it, which takes `data,` and ` data` for data too; None for none."""
    kind, parameters = parse_options_header(headers.get("content-disposition", ""))
    name = parameters.get(b"name", b"").translate(_BLANKED, b'"').strip()
    return name if kind == b"form-data" and name else None
