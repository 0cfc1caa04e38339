"""How a DICOM image lies in the patient, and what shape its pixels have (PS3.3 C.7.6.1, C.7.6.2, C.7.6.16)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lungct.errors import LungCTError
from lungct.pixels.elements import Elements, as_list, get_value, unsupported
from lungct.pixels.rendering import check_aspect

NEAR = math.cos(math.radians(35))  # how far an axis may be off and still count: a tilted gantry stays within 30 degrees
OTHER_VIEWS = {"CORONAL", "SAGITTAL"}
NOT_AXIAL = "The slice is not axial; send an axial slice."
TURNED = "The slice is stored turned or mirrored (patient not supine, head first); it was scored as is."
NO_ORIENTATION = "The file states no orientation; the slice was taken as axial."


def check_view(data: Elements, frame: int) -> list[str]:
    """Warnings for doubtful slices.

    Image Orientation (Patient) counts, or ACR-NEMA's before it; where the file has none, Patient Orientation, and where
    that is missing too, Image Type.

    Raises:
        LungCTError: unsupported_dicom for localisers and slices that are not axial, corrupt_image for an orientation
            that is none.
    """
    frame_type = get_value(data, frame, "CTImageFrameTypeSequence", "FrameType") or []
    kinds = {str(kind).strip().upper() for kind in (*as_list(data.get("ImageType")), *as_list(frame_type))}
    if kinds & {"LOCALIZER", "SCOUT"}:
        raise unsupported("The image is a localiser (scout), not a slice; send an axial slice.")
    notes = ["The image is derived (reformatted or processed)."] if "DERIVED" in kinds else []
    orientation = as_list(get_value(data, frame, "PlaneOrientationSequence", "ImageOrientationPatient"))
    if orientation := orientation or as_list(data.get("ImageOrientation")):
        return [*notes, *check_vectors(orientation)]
    names = [str(name).strip().upper()[:1] for name in as_list(data.get("PatientOrientation"))]
    if any(names):
        return [*notes, *check_names(names)]
    if kinds & OTHER_VIEWS:
        raise unsupported(NOT_AXIAL)
    return [*notes, NO_ORIENTATION]


def check_vectors(orientation: list[Any]) -> list[str]:
    """Check Image Orientation (Patient), the direction of rows and that of columns; a warning where they are turned."""
    right, down = np.array(orientation, float).reshape(2, 3)
    if not (abs(np.linalg.norm([right, down], axis=1) - 1) < 0.05).all() or abs(right @ down) > 0.05:
        raise LungCTError("corrupt_image", "The image orientation is no pair of unit vectors; export the slice again.")
    if abs(np.cross(right, down)[2]) < NEAR:
        raise unsupported(NOT_AXIAL)
    return [TURNED] if min(right[0], down[1]) < NEAR else []


def check_names(names: list[str]) -> list[str]:
    """Check Patient Orientation: the first letters, which count most, of where rows and columns lead (C.7.6.1.1.1)."""
    if set(names) & {"H", "F"}:
        raise unsupported(NOT_AXIAL)
    if [{"L": "R", "P": "A"}.get(name, name) for name in names] not in (["R", "A"], ["A", "R"]):
        return [NO_ORIENTATION]  # not two directions of a human's axial slice, so it says nothing
    return [] if names == ["L", "P"] else [TURNED]


def read_aspect(data: Elements, frame: int) -> float:
    """Height over width of a pixel, by Pixel Spacing (10.7.1.3), else by Pixel Aspect Ratio (C.7.6.3.1.7), else 1.

    Both name the vertical value first. A pair of zeros states nothing.

    Raises:
        LungCTError: unsupported_dicom where one side is more than twice the other, corrupt_image for values that
            are no pair of positive numbers.
    """
    spacing = as_list(get_value(data, frame, "PixelMeasuresSequence", "PixelSpacing"))
    for given in (spacing, as_list(data.get("PixelAspectRatio"))):
        try:
            values = [float(value) for value in given]
        except (TypeError, ValueError):
            values = [math.nan]
        if not any(values):
            continue
        if len(values) != 2 or not all(0 < value < math.inf for value in values):
            raise LungCTError("corrupt_image", "The pixel spacing is no pair of lengths; export the slice again.")
        return check_aspect(values[0] / values[1], "unsupported_dicom")
    return 1.0
