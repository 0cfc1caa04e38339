"""A whole series of phantom slices, as a scanner would send it: one study, one series, one frame of reference.

No patient is behind any pixel.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from lungct_tools.phantom.anatomy import SLICE_MM, draw_slice
from lungct_tools.phantom.files import encode_dicom

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
FIRST_MM = (-180.0, -170.0, 20.0)


def name_uid(*parts: object) -> str:
    """The UID of a part of a drawn series: equal parts give equal ones."""
    return str(generate_uid(entropy_srcs=[str(parts)]))


def draw_volume(
    count: int, nodule: str = "none", size: int = 512, seed: int = 0, name: str = "phantom"
) -> Iterator[bytes]:
    """CT files of `count` slices, the nodule in every third; equal arguments give equal bytes.

    Args:
        name: of the series; another name gives other UIDs.
    """
    for number in range(count):
        hu = draw_slice(seed + number, nodule if number % 3 == 1 else "none", size)
        yield encode_slice(hu, number, name)


def encode_slice(
    hu: npt.NDArray[np.int16], number: int, name: str, orientation: Sequence[float] = AXIAL, **elements: object
) -> bytes:
    """Slice `number` of the series `name` as a CT file.

    Args:
        hu: (H, W).
        orientation: direction cosines of a row, then of a column; slices lie SLICE_MM apart along their normal.
        elements: DICOM attributes that replace the usual ones.
    """
    data = dcmread(io.BytesIO(encode_dicom(np.ascontiguousarray(hu))))
    normal = np.cross(orientation[:3], orientation[3:])
    position = np.array(FIRST_MM) + number * SLICE_MM * normal
    data.StudyInstanceUID, data.SeriesInstanceUID = name_uid("study", name), name_uid("series", name)
    data.FrameOfReferenceUID = name_uid("frame", name)
    data.SOPInstanceUID = name_uid("slice", name, number)
    data.ImageOrientationPatient = list(orientation)
    data.ImagePositionPatient = [float(f"{value:.8g}") for value in position]
    data.InstanceNumber, data.SeriesNumber = number + 1, 3
    data.AcquisitionDate, data.AcquisitionTime = "20200102", "101112"
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    return _encode(data)


def _encode(data: Dataset) -> bytes:
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
