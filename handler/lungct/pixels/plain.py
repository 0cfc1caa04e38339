"""Uncompressed CT slices, read in the calling thread.

Most files that scanners write are such, and their pixels lie there as they are: a child process, copies between
processes and a library for every case there is cost several times what the reading does. `reader` judges whatever is
out of the ordinary, so that every refusal and every rare case has one place.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lungct.pixels.ctimage import Description, describe
from lungct.pixels.header import FAULTS, Header, read_header
from lungct.pixels.hounsfield import TABLED, Scale, read_scale, to_gray, to_whole_hu
from lungct.pixels.rendering import Plane, Rendering, Terms, Values
from lungct.pixels.walk import Irregular

UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")


class Image(NamedTuple):
    """What the header says, (H, W) values as they lie in the allocated bits, and what those mean."""

    about: Description
    values: Values
    scale: Scale


def render(body: bytes, terms: Terms) -> Rendering | None:
    """What `dicom.render` gives for an uncompressed file that nothing is wrong with; None for any other."""
    image = _read(body, terms)
    return image and image.about.render(to_gray(image.values, image.scale, image.about.window))


def read_plane(body: bytes, terms: Terms) -> Plane | None:
    """What `dicom.read_plane` gives for such a file; None for any other."""
    image = _read(body, terms)
    return image and Plane(to_whole_hu(image.values, image.scale), image.about.aspect)


def _read(body: bytes, terms: Terms) -> Image | None:
    header = read_header(body)
    if header is None or header.syntax not in UNCOMPRESSED:
        return None
    try:
        about = describe(header.elements, terms)
        return Image(about, _place(body, header), read_scale(header.elements, about.slope, about.intercept))
    except FAULTS:
        return None


def _place(body: bytes, header: Header) -> Values:
    """(H, W) the pixels where they lie; FAULTS unless they are all there, nothing else is, and a table shows them."""
    rows, columns, allocated = (header.elements[name] for name in ("Rows", "Columns", "BitsAllocated"))
    length = rows * columns * allocated // 8
    if header.encapsulated or not length or allocated > 8 * TABLED or header.stop - header.start != length + length % 2:
        raise Irregular
    kind = np.dtype(f"<{'ui'[header.elements['PixelRepresentation']]}{allocated // 8}")
    return np.frombuffer(body, kind, rows * columns, header.start).reshape(rows, columns)
