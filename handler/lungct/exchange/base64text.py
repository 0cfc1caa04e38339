"""Base64 as clients write it: in one line or broken as in MIME, in either alphabet, padded or not, in a data: URI."""

from __future__ import annotations

import binascii
import re
from typing import Any

from lungct.errors import LungCTError
from lungct.pixels import find_text

_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_BLANKS = str.maketrans("", "", " \t\r\n")
_URL_SAFE = str.maketrans("-_", "+/")
# How PNG, JPEG, TIFF, BMP, WebP and DICOM begin in base64, and no file that we read begins itself.
_HEADS = ("iVBORw0KGgo", "/9j/", "_9j_", "SUkqA", "SUkrA", "TU0AK", "Qk0", "Qk1", "Qk2", "Qk3", "UklGR", "A" * 64)


def is_meant(body: bytes | bytearray) -> bool:
    """Whether a body is a file in base64, with nothing around it or as a data: URI, which is what a canvas gives."""
    if body[128:132] == b"DICM":  # the 128 bytes before may be anything (PS3.10 7.1)
        return False
    text = find_text(body).decode("latin-1")
    return text[:5].lower() == "data:" or is_file(text)


def is_file(text: str) -> bool:
    """Whether a text is such a file, for all that its beginning says; not all that begins with `data:` is."""
    text = text[:512].lstrip()
    return text.startswith(_HEADS) or bool(_DATA_URI.match(text))


def decode(text: Any, where: str) -> bytes:
    """The bytes of a base64 text; whichever way it was written there is one reading (RFC 4648, RFC 2045 6.8, RFC 2397).

    Args:
        text: what stood there, which need not be a text.
        where: what to call the place in a sentence, such as "The JSON field data".

    Raises:
        LungCTError: corrupt_image.
    """
    if not isinstance(text, str):
        raise LungCTError("corrupt_image", f"{where} is no text; it must hold the file in base64.")
    text = text.lstrip(" \t\r\n")
    found = _DATA_URI.match(text)
    if not found and text[:5].lower() == "data:":
        raise LungCTError("corrupt_image", f"{where} is a data: URI without ;base64; send the file in base64.")
    plain = text[found.end() if found else 0 :].translate(_BLANKS)
    if "+" not in plain and "/" not in plain:
        plain = plain.translate(_URL_SAFE)
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except ValueError:
        raise LungCTError("corrupt_image", f"{where} is not valid base64, or not all of it arrived.") from None
