"""All objects of a series, in the order in which they are sent: the report first, as archives work longest on it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from lungct_tools.dicomout.assessment import Assessment
from lungct_tools.dicomout.evidence import build_map
from lungct_tools.dicomout.overlay import build_capture
from lungct_tools.dicomout.report import build_report


class Made(NamedTuple):
    """An object as a file (PS3.10).

    Attributes:
        kind: "report", "map" or "capture".
        series, uid: its own Series and SOP Instance UID.
    """

    kind: str
    body: bytes
    sop_class: str
    series: str
    uid: str


def build_objects(
    assessment: Assessment, pictures: Mapping[str, bytes], map_size: str = "small", report_kind: str = "comprehensive3d"
) -> Iterator[Made]:
    """Report, map and captures of a series, each built when it is asked for: a data set takes many times its file.

    Args:
        pictures: PNG overlays by SOP instance UID; slices without one get no capture.
    """
    yield _encode("report", build_report(assessment, report_kind))
    if evidence := build_map(assessment, map_size):
        yield _encode("map", evidence)
    del evidence
    for number, each in enumerate((each for each in assessment.peaks() if each.uid in pictures), 1):
        yield _encode("capture", build_capture(each, number, pictures[each.uid], assessment))


def warm_up() -> None:
    """Have highdicom read its tables of the standard now, which takes 40 MB more for a moment, and not amid slices."""
    source = sr.SourceImageForRegion(CTImageStorage, CTImageStorage)
    sr.ImageRegion("POINT", np.zeros((1, 2)), source)  # the least that asks them


def _encode(kind: str, data: Dataset) -> Made:
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return Made(kind, stream.getvalue(), data.SOPClassUID, data.SeriesInstanceUID, data.SOPInstanceUID)
