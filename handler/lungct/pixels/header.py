"""The header of a CT image of one frame, read strictly and without a library: None where anything is unusual.

pydicom takes 2 ms for it, more than the whole of an uncompressed file costs this way. It is safe because every step
leads forward and is counted, no memory is taken that the file does not have, and whatever is out of the ordinary ends
it: pydicom then judges the file, so that every refusal and every rare case has one place.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from lungct.errors import LungCTError
from lungct.pixels.walk import PIXELS, Element, Irregular, Walk

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
SYNTAX = 0x00020010
ODD_GROUPS = (0x0004, 0x5200)  # of a DICOMDIR, of an enhanced image
AS_PIXELS = b"US or SS"  # signed where the pixels are
Wanted = Mapping[int, tuple[str, bytes]]  # keyword and VR by tag
WANTED: Wanted = {
    0x00080008: ("ImageType", b"CS"),
    0x00080016: ("SOPClassUID", b"UI"),
    0x00080060: ("Modality", b"CS"),
    0x00180050: ("SliceThickness", b"DS"),
    0x00181210: ("ConvolutionKernel", b"SH"),
    0x00200020: ("PatientOrientation", b"CS"),
    0x00200035: ("ImageOrientation", b"DS"),
    0x00200037: ("ImageOrientationPatient", b"DS"),
    0x00280002: ("SamplesPerPixel", b"US"),
    0x00280004: ("PhotometricInterpretation", b"CS"),
    0x00280008: ("NumberOfFrames", b"IS"),
    0x00280010: ("Rows", b"US"),
    0x00280011: ("Columns", b"US"),
    0x00280030: ("PixelSpacing", b"DS"),
    0x00280034: ("PixelAspectRatio", b"IS"),
    0x00280100: ("BitsAllocated", b"US"),
    0x00280101: ("BitsStored", b"US"),
    0x00280102: ("HighBit", b"US"),
    0x00280103: ("PixelRepresentation", b"US"),
    0x00280120: ("PixelPaddingValue", AS_PIXELS),
    0x00280121: ("PixelPaddingRangeLimit", AS_PIXELS),
    0x00281050: ("WindowCenter", b"DS"),
    0x00281051: ("WindowWidth", b"DS"),
    0x00281052: ("RescaleIntercept", b"DS"),
    0x00281053: ("RescaleSlope", b"DS"),
    0x00281054: ("RescaleType", b"LO"),
    0x00281056: ("VOILUTFunction", b"CS"),
    0x00282110: ("LossyImageCompression", b"CS"),
}
MOST_BYTES = 1024  # of a wanted value: a list of millions of numbers would take seconds and gigabytes here
INTEGERS = {b"US": "<H", b"SS": "<h"}
NUMBERS = {
    b"DS": (re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?"), float),
    b"IS": (re.compile(r"[+-]?\d+"), int),
}
FAULTS = (Irregular, LungCTError, struct.error, LookupError, TypeError, ValueError)  # where a file is unusual


class Header(NamedTuple):
    """What a file says of its only frame.

    Attributes:
        elements: values by keyword, as pydicom gives them.
        syntax: UID of the transfer syntax.
        start, stop: where the value of Pixel Data lies; what is encapsulated, without the mark at its end.
        encapsulated: whether it holds fragments (PS3.5 A.4) and no pixels.
    """

    elements: dict[str, Any]
    syntax: str
    start: int
    stop: int
    encapsulated: bool


def read_header(body: bytes) -> Header | None:
    """The header of a CT image of one frame in little endian, that ends with its pixels; None for any other file."""
    try:
        walk = Walk(body, 132)
        syntax, elements = _read(walk, body, WANTED)
        pixels = walk.step()
        if walk.at != len(body) or pixels.vr not in (b"OW", b"OB", b""):
            return None
    except FAULTS:
        return None
    return Header(elements, syntax, pixels.start, pixels.start + pixels.length, pixels.open)


def read_elements(body: bytes, more: Wanted) -> dict[str, Any] | None:
    """The values before the pixels of such a file, which may be cut off behind; `more` are wanted as well."""
    try:
        return _read(Walk(body, 132), body, {**WANTED, **more})[1]
    except FAULTS:
        return None


def read_meta(walk: Walk, body: bytes) -> str:
    """The transfer syntax that the meta header names (PS3.10 7.1); the place is before the data set then.

    FAULTS for a file without such a header.
    """
    if body[128:132] != b"DICM":
        raise Irregular
    syntax = ""
    while walk.look() >> 16 == SYNTAX >> 16:
        element = walk.step()
        if element.tag == SYNTAX:
            syntax = _cut(body, element).decode("ascii").rstrip("\0")
    return syntax


def _read(walk: Walk, body: bytes, wanted: Wanted) -> tuple[str, dict[str, Any]]:
    """Transfer syntax and values by keyword; the place is before the pixels then."""
    syntax = read_meta(walk, body)
    walk.implicit = syntax == IMPLICIT
    found = _gather(walk, wanted)
    signed = any(_cut(body, found["PixelRepresentation"]))
    elements = {keyword: _convert(_cut(body, element), element.vr, signed) for keyword, element in found.items()}
    if (elements["SOPClassUID"], elements["Modality"], elements.get("NumberOfFrames") or 1) != (CT_IMAGE, "CT", 1):
        raise Irregular
    return syntax, elements


def _gather(walk: Walk, wanted: Wanted) -> dict[str, Element]:
    """The wanted elements before the pixels, by keyword, with the VR that they should have."""
    found: dict[str, Element] = {}
    before = 0
    while walk.look() != PIXELS:
        element = walk.step()
        if not before < element.tag < PIXELS or element.tag >> 16 in ODD_GROUPS:
            raise Irregular
        before = element.tag
        if element.tag in wanted:
            keyword, vr = wanted[element.tag]
            if element.length > MOST_BYTES:
                raise Irregular
            if element.vr and (element.vr not in INTEGERS if vr == AS_PIXELS else element.vr != vr):
                raise Irregular
            found[keyword] = element._replace(vr=vr)
    return found


def _cut(body: bytes, element: Element) -> bytes:
    return body[element.start : element.start + element.length]


def _convert(raw: bytes, vr: bytes, signed: bool) -> Any:
    """The value as pydicom gives it, None, one, or a list of several; FAULTS where it is unusual (PS3.5 6.2)."""
    if not raw:
        return None
    if vr == AS_PIXELS:
        vr = b"SS" if signed else b"US"
    if vr in INTEGERS:
        return struct.unpack(INTEGERS[vr], raw)[0]
    text = raw.decode("ascii").rstrip(" \0")
    if not text.isprintable():
        raise Irregular
    values: list[Any] = [part.strip() for part in text.split("\\")]
    if vr in NUMBERS and text:
        grammar, number = NUMBERS[vr]
        if not all(map(grammar.fullmatch, values)):
            raise Irregular
        values = [number(value) for value in values]
    return values if len(values) > 1 else values[0] if text else None
