"""All objects of a series, in the order in which they are sent: the report first, as archives work longest on it."""

from __future__ import annotations

import io
from collections.abc import Mapping

from pydicom.dataset import Dataset

from lungct_tools.dicomout.assessment import Assessment
from lungct_tools.dicomout.evidence import build_map
from lungct_tools.dicomout.overlay import build_capture
from lungct_tools.dicomout.report import build_report


def build_objects(
    assessment: Assessment, pictures: Mapping[str, bytes], map_size: str = "small", report_kind: str = "comprehensive3d"
) -> list[Dataset]:
    """Report, map and captures of a series.

    Args:
        pictures: PNG overlays by SOP instance UID; slices without one get no capture.
    """
    peaks = [each for each in assessment.peaks() if each.uid in pictures]
    captures = [build_capture(each, n, pictures[each.uid], assessment) for n, each in enumerate(peaks, 1)]
    evidence = build_map(assessment, map_size)
    return [build_report(assessment, report_kind), *([evidence] if evidence else []), *captures]


def encode(data: Dataset) -> bytes:
    """The object as a file (PS3.10)."""
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
