"""From rows to files: the peaks are drawn by the server, every object is built, and a manifest names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lungct_tools.dicomout.assessment import Assessment
from lungct_tools.dicomout.evidence import SIZES
from lungct_tools.dicomout.objects import Made, build_objects
from lungct_tools.dicomout.report import KINDS
from lungct_tools.pacs.folder import SeriesFolder, Version, moment_of
from lungct_tools.pacs.scorer import Scorer
from lungct_tools.pacs.spool import hash_name


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
) -> Iterator[tuple[str, Made]]:
    """File name and object, in the order in which they are sent.

    Args:
        draw: PNG overlay of the slice of a SOP instance UID, or None.
    """
    drawn = {each.uid: draw(each.uid) for each in assessment.peaks()}
    pictures = {uid: picture for uid, picture in drawn.items() if picture is not None}
    for number, made in enumerate(build_objects(assessment, pictures, choice.map_size, choice.report_kind), 1):
        yield f"{number}-{made.kind}.dcm", made


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
    report = files[0][1]
    manifest = {
        "slices": sorted(names),
        "study": assessment.slices[0].header.StudyInstanceUID,
        "report": [report.series, report.uid],
        "decision": assessment.rollup["decision"],
        "refused": assessment.rollup["refused"],
        "objects": [{"file": name, "sop_class": made.sop_class} for name, made in files],
    }
    return series.add_version(before + 1, ((name, made.body) for name, made in files), manifest)
