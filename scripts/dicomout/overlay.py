"""Captures of the peak slices: the overlay that the server drew, with what it is written into the pixels."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from highdicom.sc import SCImage
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from lungct import NOTICE
from lungct_tools.dicomout import codes
from lungct_tools.dicomout.assessment import Assessment, Slice
from lungct_tools.dicomout.geometry import find_aspect
from lungct_tools.dicomout.identity import as_source, describe, finish, set_capture_date, tell_compression
from lungct_tools.dicomout.uids import name_object

_SIDE = 512  # pixels that the writing needs; smaller pictures are enlarged by whole factors
_BAR, _LINE, _TEXT = 34, 15, 13


def build_capture(each: Slice, number: int, picture: bytes, assessment: Assessment) -> Dataset:
    """A Secondary Capture of one slice.

    Args:
        number: of the capture in its series, from 1.
        picture: PNG of the overlay from our own server.
    """
    header, pixels = each.header, write_on(picture, describe_slice(each, assessment))
    said = describe("capture", name_object("capture", assessment, each.uid), assessment)
    data = SCImage.from_ref_dataset(
        as_source(each),
        pixels,
        "RGB",
        8,
        "PATIENT",
        **said | {"instance_number": number},
        patient_orientation=name_directions(header.get("ImageOrientationPatient")),
    )
    # The rest highdicom has no arguments for, but the date: it takes today's.
    set_capture_date(data, assessment)
    data.BodyPartExamined = "CHEST"
    data.BurnedInAnnotation = "NO"  # C.7.6.1.1: annotation that identifies the patient; ours names none
    data.RecognizableVisualFeatures = "NO"
    tell_compression(data, [each])
    data.DerivationDescription = f"Grad-CAM over the slice. {NOTICE}"
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = header.SOPClassUID, each.uid
    source.PurposeOfReferenceCodeSequence = [codes.SOURCE_IMAGE]
    data.SourceImageSequence = [source]
    if (aspect := find_aspect(header)) != 1:  # C.7.6.3.1.7: a capture has no spacing that would say it
        data.PixelAspectRatio = [round(1000 * aspect), 1000]
    return finish(data, assessment)


def describe_slice(each: Slice, assessment: Assessment) -> tuple[str, str]:
    """The two lines under a capture."""
    row, made_by = each.row, assessment.algorithm
    said = f"Slice {each.header.get('InstanceNumber', '-')}: {row['label']} {row['confidence']:.2f}, {row['decision']}"
    return f"{said}. Grad-CAM, {made_by.name} {made_by.version}, {made_by.engine}", NOTICE


def name_directions(orientation: Sequence[float] | None) -> tuple[str, str]:
    """Where rows and columns run, as the letter of the nearest axis (PS3.3 C.7.6.1.1.1); as for supine if unknown."""
    if not orientation:
        return "L", "P"
    towards = np.array(orientation, float).reshape(2, 3)
    nearest = np.abs(towards).argmax(1)
    along_row, along_column = (
        ("LPH" if vector[axis] > 0 else "RAF")[axis] for vector, axis in zip(towards, nearest, strict=True)
    )
    return along_row, along_column


def write_on(picture: bytes, lines: tuple[str, str]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB: the picture above a black bar with the lines, wide enough to be read."""
    drawn = Image.open(io.BytesIO(picture)).convert("RGB")
    factor = max(1, -(-_SIDE // drawn.width))
    drawn = drawn.resize((drawn.width * factor, drawn.height * factor), Image.Resampling.NEAREST)
    canvas = Image.new("RGB", (drawn.width, drawn.height + _BAR))
    canvas.paste(drawn, (0, 0))
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(_TEXT)
    for number, line in enumerate(lines):
        pen.text((4, drawn.height + 2 + number * _LINE), line, fill="white", font=font)
    return np.asarray(canvas)
