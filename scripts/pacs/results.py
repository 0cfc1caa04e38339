"""From rows to files: the peaks are drawn by the server, every object is built, and a manifest names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from lungct_tools.dicomout.assessment import Assessment
from lungct_tools.dicomout.evidence import SIZES
from lungct_tools.dicomout.objects import build_objects, encode
from lungct_tools.dicomout.report import KINDS
from lungct_tools.pacs.folder import SeriesFolder, Version, moment_of
from lungct_tools.pacs.scorer import Scorer
from lungct_tools.pacs.spool import hash_name

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


def make_version(series: SeriesFolder, names: set[str], scorer: Scorer, choice: Choice) -> Version:
    """The next version of a series on disk, of these slices.

    Raises:
        ServerError, TokenError: the server cannot draw the overlays now.
        OSError: the disk is full; no version is there.
    """
    rows = series.rows()
    before, replaced = series.last_report()
    assessment = scorer.assess(
        [(series.header(name), rows[name]) for name in sorted(names)],
        moment_of([rows[name] for name in names]),
        choice.deidentified,
        version=before + 1,
        replaces=tuple(replaced) if replaced else None,
    )
    files = list(make_files(assessment, lambda uid: scorer.draw(series.read(hash_name(uid))), choice))
    report = files[0][2]
    manifest = {
        "slices": sorted(names),
        "study": report.StudyInstanceUID,
        "report": [report.SeriesInstanceUID, report.SOPInstanceUID],
        "decision": assessment.rollup["decision"],
        "refused": assessment.rollup["refused"],
        "objects": [{"file": name, "sop_class": data.SOPClassUID} for name, _, data in files],
    }
    return series.add_version(before + 1, ((name, body) for name, body, _ in files), manifest)
