"""Plain CT slices, uncompressed and of one frame, read in the calling thread.

Most files that scanners write are such, and their pixels lie there as they are: a child process, copies between
processes and a library for every case there is cost several times what the reading does. It is safe because every step
leads forward and is counted, no memory is taken that the file does not have, and whatever is out of the ordinary ends
it. `reader` then judges the file, so that every refusal and every rare case has one place.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lungct.errors import LungCTError
from lungct.pixels.ctimage import Description, describe
from lungct.pixels.hounsfield import Scale, read_scale, to_gray, to_whole_hu
from lungct.pixels.rendering import Plane, Rendering, Terms, Values
from lungct.pixels.walk import Element, Irregular, Walk

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = {b"1.2.840.10008.1.2": True, b"1.2.840.10008.1.2.1": False}  # the two uncompressed little-endian syntaxes
SYNTAX, PIXELS = 0x00020010, 0x7FE00010
ODD_GROUPS = (0x0004, 0x5200)  # of a DICOMDIR, of an enhanced image
AS_PIXELS = b"US or SS"  # signed where the pixels are
WANTED = {
    0x00080008: ("ImageType", b"CS"),
    0x00080016: ("SOPClassUID", b"UI"),
    0x00080060: ("Modality", b"CS"),
    0x00180050: ("SliceThickness", b"DS"),
    0x00181210: ("ConvolutionKernel", b"SH"),
    0x00200020: ("PatientOrientation", b"CS"),
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
INTEGERS = {b"US": "<H", b"SS": "<h"}
NUMBERS = {b"DS": (re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?"), float), b"IS": (re.compile(r"[+-]?\d+"), int)}
FAULTS = (Irregular, LungCTError, struct.error, LookupError, TypeError, ValueError)


class Image(NamedTuple):
    """What the header says, (H, W) values as they lie in the allocated bits, and what those mean."""

    about: Description
    values: Values
    scale: Scale


def render(body: bytes, terms: Terms) -> Rendering | None:
    """What `dicom.render` gives for a plain file that nothing is wrong with; None for any other."""
    image = _read(body, terms)
    return image and image.about.render(to_gray(image.values, image.scale, image.about.window))


def read_plane(body: bytes, terms: Terms) -> Plane | None:
    """What `dicom.read_plane` gives for such a file; None for any other."""
    image = _read(body, terms)
    return image and Plane(to_whole_hu(image.values, image.scale), image.about.aspect)


def _read(body: bytes, terms: Terms) -> Image | None:
    try:
        header, values = _open(body)
        about = describe(header, terms)
        return Image(about, values, read_scale(header, about.slope, about.intercept))
    except FAULTS:
        return None


def _open(body: bytes) -> tuple[Mapping[str, Any], Values]:
    """Header and values; FAULTS where the file is not plain."""
    if body[128:132] != b"DICM":
        raise Irregular
    walk, syntax = Walk(body, 132), b""
    while walk.look() >> 16 == SYNTAX >> 16:
        element = walk.step()
        if element.tag == SYNTAX:
            syntax = _cut(body, element).rstrip(b"\0")
    walk.implicit = IMPLICIT[syntax]
    found, pixels = _gather(walk)
    if walk.at != len(body):
        raise Irregular
    signed = any(_cut(body, found["PixelRepresentation"]))
    header = {keyword: _convert(_cut(body, element), element.vr, signed) for keyword, element in found.items()}
    if (header["SOPClassUID"], header["Modality"], header.get("NumberOfFrames") or 1) != (CT_IMAGE, "CT", 1):
        raise Irregular
    return header, _place(body, pixels, header)


def _gather(walk: Walk) -> tuple[dict[str, Element], Element]:
    """The wanted elements by keyword with the VR that they should have, and the pixels; nothing behind them is read."""
    found: dict[str, Element] = {}
    before = 0
    while (element := walk.step()).tag != PIXELS:
        if element.tag <= before or element.tag >> 16 in ODD_GROUPS:
            raise Irregular
        before = element.tag
        if element.tag in WANTED:
            keyword, vr = WANTED[element.tag]
            if element.vr and (element.vr not in INTEGERS if vr == AS_PIXELS else element.vr != vr):
                raise Irregular
            found[keyword] = element._replace(vr=vr)
    if before > PIXELS or element.vr not in (b"OW", b"OB", b""):
        raise Irregular
    return found, element


def _place(body: bytes, pixels: Element, header: Mapping[str, Any]) -> Values:
    """(H, W) the pixels where they lie; FAULTS unless they are all there, and nothing else."""
    rows, columns, allocated = header["Rows"], header["Columns"], header["BitsAllocated"]
    length = rows * columns * allocated // 8
    if not length or pixels.length != length + length % 2:
        raise Irregular
    kind = np.dtype(f"<{'ui'[header['PixelRepresentation']]}{allocated // 8}")
    return np.frombuffer(body, kind, rows * columns, pixels.start).reshape(rows, columns)


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
