"""Whole series of phantom slices, as a scanner would send them. No patient is behind any of them."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from pydicom import dcmread

from scripts.anatomy import draw_slice
from scripts.dicomout.uids import make_uid
from scripts.phantom import encode_dicom

STEP_MM = 3.0
TILT = float(np.radians(20))
AXIAL = (1, 0, 0, 0, 1, 0)
OBLIQUE = (1, 0, 0, 0, float(np.cos(TILT)), float(np.sin(TILT)))  # a tilted gantry
MIRRORED = (-1, 0, 0, 0, -1, 0)  # prone
NODULES = ("none", "smooth", "spiculated")


@cache
def draw_series(
    count: int = 4, orientation: tuple[float, ...] = AXIAL, rows: int = 256, name: str = "a", **elements: object
) -> tuple[bytes, ...]:
    """CT files of 256 columns; fewer `rows` than that make the server pad the slice."""
    along_row, along_column = np.array(orientation, float).reshape(2, 3)
    normal = np.cross(along_row, along_column)
    files = []
    for number in range(count):
        hu = draw_slice(number, NODULES[number % 3], 256)[:rows]
        data = dcmread(io.BytesIO(encode_dicom(np.ascontiguousarray(hu))))
        data.StudyInstanceUID, data.SeriesInstanceUID = make_uid("study", name), make_uid("series", name)
        data.FrameOfReferenceUID = make_uid("frame", name)
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = make_uid("slice", name, number)
        data.ImageOrientationPatient = list(orientation)
        data.ImagePositionPatient = [float(f"{v:.8g}") for v in (-180, -170, 20) + number * STEP_MM * normal]
        data.InstanceNumber, data.SeriesNumber = number + 1, 3
        data.AcquisitionDate, data.AcquisitionTime = "20200102", "101112"
        for keyword, value in elements.items():
            setattr(data, keyword, value)
        stream = io.BytesIO()
        data.save_as(stream, enforce_file_format=True)
        files.append(stream.getvalue())
    return tuple(files)


def refused_slice(name: str = "a") -> bytes:
    """A localiser of the same series, which the server refuses."""
    data = dcmread(io.BytesIO(draw_series(1, name=name)[0]))
    data.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = make_uid("slice", name, "localiser")
    data.InstanceNumber = 99
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
