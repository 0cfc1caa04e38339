"""Base64 as clients write it: in one line or broken as in MIME, in either alphabet, padded or not, in a data: URI."""

from __future__ import annotations

import binascii
import json
import re
from typing import Any
from urllib.parse import unquote

from lungct.errors import LungCTError
from lungct.pixels import find_text

_DATA_URI = re.compile(r"data:[^,]{0,200};[ ]*base64,", re.IGNORECASE)
_BLANKS = str.maketrans("", "", " \t\r\n")
NOT_BASE64 = "is not valid base64, or not all of it arrived."
PLUS_LOST = (
    "has blanks and no +, so that each blank may have been a +, as in a form of HTML; send base64 in JSON, or the file."
)
_ESCAPES = {"%2B": "+", "%2F": "/", "%3D": "=", "%0D": "\r", "%0A": "\n", "%20": " "}
_MOST_ESCAPES = 1000  # besides those: Python takes 80 bytes and more for each, and a body has room for ten million
_URL_SAFE = str.maketrans("-_", "+/")
# How PNG, JPEG, TIFF, BMP, WebP and DICOM begin in base64, and no file that we read begins itself.
_HEADS = ("iVBORw0KGgo", "/9j/", "_9j_", "SUkqA", "SUkrA", "TU0AK", "Qk0", "Qk1", "Qk2", "Qk3", "UklGR", "A" * 64)


def is_meant(body: bytes | bytearray) -> bool:
    """Whether a body is a file in base64, with nothing around it or as a data: URI, which is what a canvas gives."""
    if body[128:132] == b"DICM":  # the 128 bytes before may be anything (PS3.10 7.1)
        return False
    return _begin(body)[:5].lower() == "data:" or is_begun(body)


def is_begun(body: bytes | bytearray) -> bool:
    """Whether a body begins as such a file does, also in UTF-16."""
    return is_file(_begin(body))


def is_file(text: str) -> bool:
    """Whether a text is such a file, for all that its beginning says; not all that begins with `data:` is."""
    text = text[:512].lstrip()
    return text.startswith(_HEADS) or bool(_DATA_URI.match(text))


def read_text(body: bytes | bytearray) -> str:
    """A body that is a text; Windows writes a byte order mark before it, or UTF-16."""
    return body.decode(json.detect_encoding(body), "replace")


def decode(text: Any, where: str) -> bytes:
    """The bytes of a base64 text; whichever way it was written there is one reading (RFC 4648, RFC 2045 6.8, RFC 2397).

    Blanks do not count, but where no + is left each may have been one: that is what forms of HTML make of it.

    Args:
        text: what stood there, which need not be a text.
        where: what to call the place in a sentence, such as "The JSON field data".

    Raises:
        LungCTError: corrupt_image.
    """
    if not isinstance(text, str):
        raise LungCTError("corrupt_image", f"{where} is no text; it must hold the file in base64.")
    text = text.lstrip("\ufeff \t\r\n")
    found = _DATA_URI.match(text)
    if not found and text[:5].lower() == "data:":
        raise LungCTError("corrupt_image", f"{where} is a data: URI without ;base64; send the file in base64.")
    try:
        plain = (unescape(text[found.end() :]) if found else text).strip(" \t\r\n")
        plain.encode("ascii")  # else what follows takes a hundred times as long
    except ValueError:
        raise LungCTError("corrupt_image", f"{where} {NOT_BASE64}") from None
    if " " in plain and not any(letter in plain for letter in "+-_"):
        raise LungCTError("corrupt_image", f"{where} {PLUS_LOST}")
    plain = plain.translate(_BLANKS)
    if "+" not in plain and "/" not in plain:
        plain = plain.translate(_URL_SAFE)
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except ValueError:
        raise LungCTError("corrupt_image", f"{where} {NOT_BASE64}") from None


def unescape(text: str) -> str:
    """Base64 without its percent-encoding (RFC 3986, 2.1); ValueError where much else is encoded."""
    for escape, letter in _ESCAPES.items():
        text = text.replace(escape, letter).replace(escape.lower(), letter)
    if text.count("%") > _MOST_ESCAPES:
        raise ValueError
    return unquote(text)


def _begin(body: bytes | bytearray) -> str:
    return find_text(body).decode("latin-1").replace("\0", "")
