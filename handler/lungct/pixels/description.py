"""What ImageJ and OME say of a TIFF's pixels in its description, since TIFF has no place for it."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import NamedTuple

_IMAGEJ = "ImageJ="  # how its description begins; then a name, = and a value a line
_LENGTHS = re.compile(r"^unit=(?!pixels?$)\S", re.MULTILINE)  # such as mm
_NUMBER = r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)"
_LINE = re.compile(rf"^cf=0\s+c0={_NUMBER}\s+c1={_NUMBER}\s*$", re.MULTILINE)  # the function of number 0 is a line
_PIXELS = re.compile(r"<(?:\w+:)?Pixels\s[^>]*>")  # OME-XML's, of the first picture
_SIZE = r"""\sPhysicalSize{0}=["']([^"']+)["']"""
_UNIT = r"""\sPhysicalSize{0}Unit=["']([^"']+)["']"""


class Line(NamedTuple):
    """Value = offset + factor x what is stored."""

    offset: float
    factor: float


def has_length(text: str) -> bool:
    """Whether ImageJ says that the resolution beside it counts in a unit of length."""
    return text.startswith(_IMAGEJ) and _LENGTHS.search(text) is not None


def find_line(text: str) -> Line | None:
    """What ImageJ's calibration makes of stored values; None without one, and for other functions.

    Of a CT whose values are signed it stores HU + 32768, and of others what the DICOM file stored.
    """
    found = _LINE.search(text) if text.startswith(_IMAGEJ) else None
    with suppress(ValueError):  # two points in a number
        line = Line(*map(float, found.groups())) if found else None
        return line if line and abs(line.offset) < 1e6 and 0 < line.factor < 1e6 else None
    return None


def find_sizes(text: str) -> tuple[float, float] | None:
    """Height and width of a pixel by OME-XML, in whatever unit both have; None where it does not tell both."""
    if not (pixels := _PIXELS.search(text)):
        return None
    units = [re.search(_UNIT.format(axis), pixels[0]) for axis in "YX"]
    if len({unit and unit[1] for unit in units}) > 1:
        return None
    found = [re.search(_SIZE.format(axis), pixels[0]) for axis in "YX"]
    with suppress(ValueError):
        height, width = (float(size[1]) if size else math.nan for size in found)
        return height, width
    return None
