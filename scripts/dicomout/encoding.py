"""Sequences as bytes, explicit VR little endian (PS3.5 7.1.2): a report of 300 slices has 20,000 elements.

pydicom writes such a sequence as it stands and parses it only when somebody looks at it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.sr.coding import Code
from pydicom.tag import Tag

_LONG = {"SQ", "UT", "OB", "OW", "OF"}  # these have two bytes of nothing and a length of four (table 7.1-1)
_ITEM = struct.pack("<HH", 0xFFFE, 0xE000)
_HEAD = struct.Struct("<HH")


def encode_item(**elements: Any) -> bytes:
    """One item of a sequence, with a defined length.

    Args:
        elements: value by keyword: text, number, a list of either, or the bytes of `encode_items`.
    """
    parts = sorted((_look_up(keyword)[0], _encode_element(keyword, value)) for keyword, value in elements.items())
    body = b"".join(part for _, part in parts)
    return _ITEM + struct.pack("<I", len(body)) + body


def encode_items(items: Iterable[bytes]) -> bytes:
    """The value of a sequence."""
    return b"".join(items)


def as_element(keyword: str, items: Iterable[bytes]) -> RawDataElement:
    """A sequence for a pydicom data set that is written in explicit VR little endian."""
    value = encode_items(items)
    return RawDataElement(Tag(_look_up(keyword)[0]), "SQ", len(value), value, 0, False, True, True)


@cache
def encode_code(code: Code) -> bytes:
    """A code as the one item of a code sequence (PS3.3 table 8.8-1)."""
    return encode_item(CodeValue=code.value, CodingSchemeDesignator=code.scheme_designator, CodeMeaning=code.meaning)


def _encode_element(keyword: str, value: Any) -> bytes:
    tag, kind, head = _look_up(keyword)
    body = value if isinstance(value, bytes) else _ENCODERS.get(kind, _encode_text)(value)
    if len(body) % 2:
        body += b"\0" if kind == "UI" else b" "
    return head + struct.pack("<I" if kind in _LONG else "<H", len(body)) + body


@cache
def _look_up(keyword: str) -> tuple[int, str, bytes]:
    """Tag, value representation, and the bytes before the length."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    kind = dictionary_VR(tag)
    return tag, kind, _HEAD.pack(tag >> 16, tag & 0xFFFF) + kind.encode() + (b"\0\0" if kind in _LONG else b"")


def _encode_text(value: Any) -> bytes:
    values = [value] if isinstance(value, str) or not isinstance(value, Sequence) else value
    return "\\".join(map(_write, values)).encode()


def _write(value: Any) -> str:
    """Decimal strings have at most 16 characters (PS3.5, DS)."""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _pack(kind: str) -> Callable[[Any], bytes]:
    def encode(value: Any) -> bytes:
        values = value if isinstance(value, Sequence) else [value]
        return struct.pack(f"<{len(values)}{kind}", *values)

    return encode


_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "US": _pack("H"), "UL": _pack("I"), "FL": _pack("f"), "FD": _pack("d"),
}  # fmt: skip
