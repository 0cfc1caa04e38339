"""From an assessment to files: the peaks are drawn by the server, everything is built, and a manifest names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from scripts.dicomout.assessment import Assessment
from scripts.dicomout.evidence import SIZES
from scripts.dicomout.objects import build_objects, encode
from scripts.dicomout.report import KINDS

_KINDS = {"1.2.840.10008.5.1.4.1.1.7": "capture", "1.2.840.10008.5.1.4.1.1.30": "map"}


@dataclass(frozen=True)
class Choice:
    """What is made of a series.

    Attributes:
        map_size: of `evidence.SIZES`.
        report_kind: of `report.KINDS`.
        deidentified: leave out what PS3.15's basic profile names.
    """

    map_size: str = SIZES[0]
    report_kind: str = next(iter(KINDS))
    deidentified: bool = False


def make_files(
    assessment: Assessment, draw: Callable[[str], bytes | None], choice: Choice
) -> Iterator[tuple[str, bytes, Dataset]]:
    """Name, bytes and data set of each object, in the order in which they are sent.

    Args:
        draw: PNG overlay of the slice of a SOP instance UID, or None.
    """
    drawn = {each.uid: draw(each.uid) for each in assessment.peaks()}
    pictures = {uid: picture for uid, picture in drawn.items() if picture is not None}
    for number, data in enumerate(build_objects(assessment, pictures, choice.map_size, choice.report_kind), 1):
        yield f"{number}-{_KINDS.get(data.SOPClassUID, 'report')}.dcm", encode(data), data
