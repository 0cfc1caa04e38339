"""Whole series of phantom slices, as a scanner would send them. No patient is behind any of them."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from lungct_tools.dicomout.keywords import KEYWORDS
from lungct_tools.phantom.anatomy import SLICE_MM, draw_slice
from lungct_tools.phantom.series import AXIAL as AXIAL
from lungct_tools.phantom.series import encode_slice, name_uid
from tests.support.dicoms import save

STEP_MM = SLICE_MM
TILT = float(np.radians(20))
OBLIQUE = (1, 0, 0, 0, float(np.cos(TILT)), float(np.sin(TILT)))  # a tilted gantry
MIRRORED = (-1, 0, 0, 0, -1, 0)  # prone
NODULES = ("none", "smooth", "spiculated")


@cache
def draw_series(
    count: int = 4, orientation: tuple[float, ...] = AXIAL, rows: int = 256, name: str = "a", **elements: object
) -> tuple[bytes, ...]:
    """CT files of 256 columns; fewer `rows` than that make the server pad the slice."""
    return tuple(
        encode_slice(draw_slice(number, NODULES[number % 3], 256)[:rows], number, name, orientation, **elements)
        for number in range(count)
    )


def refused_slice(name: str = "a") -> bytes:
    """A localiser of the same series, which the server refuses."""
    kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    uid = name_uid("slice", name, "localiser")
    return encode_slice(draw_slice(0, "none", 256), 98, name, ImageType=kind, SOPInstanceUID=uid)


def read_header(body: bytes) -> Dataset:
    """What a result needs of a file's header."""
    return dcmread(io.BytesIO(body), stop_before_pixels=True, specific_tags=list(KEYWORDS))


def name_copy(body, number):
    """The file under another SOP Instance UID."""
    data = dcmread(io.BytesIO(body))
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = name_uid("copy", data.SOPInstanceUID, number)
    return save(data)


def name_slice(body, name, number=0):
    """The file with UIDs of a series of its own."""
    data = dcmread(io.BytesIO(body))
    data.StudyInstanceUID, data.SeriesInstanceUID = name_uid("study", name), name_uid("series", name)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = name_uid("slice", name, number)
    return save(data)
