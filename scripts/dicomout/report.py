"""The report: TID 1500 (PS3.16) as Comprehensive 3D SR or Enhanced SR, preliminary, unverified, for research."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage, EnhancedSRStorage

from lungct import NOTICE
from lungct_tools.dicomout import codes, content
from lungct_tools.dicomout.assessment import Assessment, Slice
from lungct_tools.dicomout.content import CONTAINS, INFERRED, MODIFIES, OBSERVES
from lungct_tools.dicomout.encoding import encode_code, encode_item, encode_items
from lungct_tools.dicomout.geometry import Cells, find_aspect, find_peak
from lungct_tools.dicomout.identity import MANUFACTURER, MODEL, add_sequence, begin
from lungct_tools.dicomout.uids import name_device, name_object
from lungct_tools.folder.rollup import NOT_ASSESSABLE, RULE

KINDS = {"comprehensive3d": Comprehensive3DSRStorage, "enhanced": EnhancedSRStorage}
_OF_THE_LATE = "It is of slices that came after those of the version before were deleted, and does not replace that."
_COUNTS = {
    "slices": codes.SLICES, "copies": codes.COPIES, "scored": codes.SCORED, "refused": codes.REFUSED,
    "referred": codes.REFERRED,
}  # fmt: skip
_SHARES = {"suspicion": codes.SUSPICION, "peak": codes.PEAK}


def build_report(assessment: Assessment, kind: str = "comprehensive3d") -> Dataset:
    """The report of a series.

    Args:
        kind: of KINDS.
    """
    report = begin("report", KINDS[kind], name_object("report", assessment, kind), assessment)
    report.Modality = "SR"
    report.ContentQualification = "RESEARCH"
    report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    report.ValueType, report.ContinuityOfContent = "CONTAINER", "SEPARATE"
    add_sequence(report, "ReferencedPerformedProcedureStepSequence", ())
    add_sequence(report, "PerformedProcedureCodeSequence", ())
    add_sequence(report, "CurrentRequestedProcedureEvidenceSequence", [_list_evidence(assessment)])
    if assessment.replaces:
        add_sequence(report, "PredecessorDocumentsSequence", [_name_version_before(assessment, kind)])
    add_sequence(report, "ConceptNameCodeSequence", [encode_code(codes.MEASUREMENT_REPORT)])
    add_sequence(report, "ContentTemplateSequence", [encode_item(MappingResource="DCMR", TemplateIdentifier="1500")])
    add_sequence(report, "ContentSequence", _write_content(assessment))
    return report


def choose(assessment: Assessment) -> list[Slice]:
    """The slices of which something is said: all but those that are of the least worrying class without a reserve."""
    harmless, peaks = assessment.algorithm.classes[0], {each.uid for each in assessment.peaks()}

    def silent(row: dict[str, object]) -> bool:
        return row["label"] == harmless and row["decision"] == "report" and not row["warnings"]

    return [each for each in assessment.slices if not each.scored or each.uid in peaks or not silent(each.row)]


def _write_content(assessment: Assessment) -> Iterator[bytes]:
    """TID 1500, in the order of its rows."""
    yield content.code(codes.LANGUAGE, codes.ENGLISH, MODIFIES)
    yield from _describe_observer(assessment)
    yield content.code(codes.PROCEDURE, codes.CT_OF_CHEST, MODIFIES)
    groups = [_measure_series(assessment), *(_describe(each, assessment) for each in choose(assessment))]
    yield content.container(codes.MEASUREMENTS, groups)
    yield content.container(codes.QUALITATIVE_EVALUATIONS, _evaluate_series(assessment))


def _describe_observer(assessment: Assessment) -> Iterator[bytes]:
    """TID 1002 and 1004."""
    made_by = assessment.algorithm
    yield content.code(codes.OBSERVER_TYPE, codes.DEVICE, OBSERVES)
    yield content.uidref(codes.DEVICE_UID, name_device(assessment), OBSERVES)
    yield content.text(codes.DEVICE_NAME, f"{MODEL} {made_by.name} {made_by.version}", OBSERVES)
    yield content.text(codes.DEVICE_MANUFACTURER, MANUFACTURER, OBSERVES)
    yield content.text(codes.DEVICE_MODEL, MODEL, OBSERVES)
    yield content.text(codes.DEVICE_SERIAL, made_by.weights_sha256, OBSERVES)


def _identify(assessment: Assessment) -> Iterator[bytes]:
    """TID 4019."""
    made_by = assessment.algorithm
    yield content.text(codes.ALGORITHM_NAME, made_by.name, MODIFIES)
    yield content.text(codes.ALGORITHM_VERSION, made_by.version, MODIFIES)
    for parameter in (f"weights_sha256={made_by.weights_sha256}", f"engine={made_by.engine}", *made_by.options):
        yield content.text(codes.ALGORITHM_PARAMETERS, parameter, MODIFIES)
    yield content.code(codes.ALGORITHM_FAMILY, codes.ARTIFICIAL_INTELLIGENCE, MODIFIES)


def _track(uid: str, identifier: str) -> Iterator[bytes]:
    yield content.text(codes.TRACKING_IDENTIFIER, identifier, OBSERVES)
    yield content.uidref(codes.TRACKING_UID, uid, OBSERVES)


def _measure_series(assessment: Assessment) -> bytes:
    """TID 1411: the numbers of the roll-up, first in the report, with regions on the slices that decide it."""
    rollup = assessment.rollup
    slices = assessment.peaks() or assessment.slices[:1]
    return content.container(
        codes.GROUP,
        [
            *_track(name_object("roll-up", assessment), "Roll-up of the series"),
            content.code(codes.FINDING, codes.SERIES),
            *(_locate(each, assessment).region() for each in slices),
            *_identify(assessment),
            *(content.number(c, rollup[name], codes.NO_UNITS) for name, c in _SHARES.items() if rollup[name] != ""),
            *(content.number(c, rollup[name], codes.IMAGES) for name, c in _COUNTS.items()),
            *_judge(rollup["label"], rollup["decision"]),
        ],
        template="1411",
    )


def _judge(label: str, decision: str) -> Iterator[bytes]:
    """Class and decision of a slice or a series; too few slices of a series make no class."""
    if label == NOT_ASSESSABLE:
        yield content.code(codes.ASSESSMENT, codes.NOT_ASSESSED)
    else:
        yield content.code(codes.PREDICTED, codes.code_class(label))
    yield content.code(codes.DECISION, codes.DECISIONS[decision])


def _describe(each: Slice, assessment: Assessment) -> bytes:
    """TID 1410: what is said of a slice."""
    row, number = each.row, each.header.get("InstanceNumber")
    place = _locate(each, assessment)
    items = [*_track(name_object("slice", assessment, each.uid), "Slice" if number is None else f"Slice {number}")]
    if each.scored:
        items.append(content.code(codes.FINDING, codes.code_class(row["label"])))
        items += [content.code(codes.METHOD, codes.GRAD_CAM, MODIFIES)] if place.evidence is not None else []
        items += [place.region(), *_identify(assessment)]
        if place.evidence is not None:  # the first number, as OHIF draws the region that this one has
            source = place.region(INFERRED)
            items.append(content.number(codes.code_evidence(row["label"]), place.evidence, codes.NO_UNITS, source))
        for name, share in row["probabilities"].items():
            items.append(content.number(codes.code_probability(name), share, codes.NO_UNITS))
        items += [*_judge(row["label"], row["decision"]), *_comment(row["warnings"])]
    else:
        items += [content.code(codes.ASSESSMENT, codes.NOT_ASSESSED), place.region()]
        items += _comment([f"{row['error']}: {row['message']}"])
    return content.container(codes.GROUP, items, "1410")


class _Spot(NamedTuple):
    """Where on a slice, and the evidence for the slice's class there; None where nothing stands out."""

    outline: list[list[float]]
    each: Slice
    evidence: float | None

    def region(self, relation: str = CONTAINS) -> bytes:
        return content.region(self.outline, self.each.header.SOPClassUID, self.each.uid, relation)


def _locate(each: Slice, assessment: Assessment) -> _Spot:
    """The cell with the strongest evidence for the slice's class.

    Where there is no such cell it is the whole slice, or its first pixel where its size is not known: OHIF 3.12 shows
    nothing of a report that has a group without coordinates.
    """
    rows, columns = int(each.header.get("Rows") or 1), int(each.header.get("Columns") or 1)
    if each.row.get("label") in each.grids:
        grid = each.grids[each.row["label"]]
        cells = Cells.on(rows, columns, assessment.algorithm.geometry, find_aspect(each.header))
        if peak := find_peak(grid, cells, rows, columns):
            return _Spot(cells.outline(*peak, rows, columns).tolist(), each, float(grid[peak]))
    return _Spot(Cells(0, 0, rows, columns).outline(0, 0, rows, columns).tolist(), each, None)


def _comment(sentences: Iterable[str]) -> list[bytes]:
    return [content.text(codes.COMMENT, sentence) for sentence in sentences]


def _evaluate_series(assessment: Assessment) -> Iterator[bytes]:
    """TID 1500 row 12: class and decision of the series, and in words how they came about and what is missing."""
    rollup = assessment.rollup
    refused = [each for each in assessment.slices if not each.scored]
    reasons = sorted({str(each.row["error"]) for each in refused})
    missing = f"{len(refused)} of {len(assessment.slices)} slices: {', '.join(reasons)}." if refused else "Nothing."
    before = ""
    if assessment.version > 1:
        before = " It replaces the version before, as slices came late." if assessment.replaces else f" {_OF_THE_LATE}"
    yield from _judge(rollup["label"], rollup["decision"])
    yield content.text(codes.NOTICE, NOTICE)
    yield content.text(codes.RULE, RULE)
    yield content.text(codes.UNASSESSED, missing)
    yield content.text(codes.VERSION, f"Version {assessment.version}.{before}")


def _list_evidence(assessment: Assessment) -> bytes:
    """C.17.2: the images that the report is about, as an item of a study."""
    header = assessment.slices[0].header
    images = encode_items(content.reference(each.header.SOPClassUID, each.uid) for each in assessment.slices)
    return _refer(header.StudyInstanceUID, header.SeriesInstanceUID, images)


def _name_version_before(assessment: Assessment, kind: str) -> bytes:
    series, uid = assessment.replaces or ("", "")
    return _refer(assessment.slices[0].header.StudyInstanceUID, series, content.reference(KINDS[kind], uid))


def _refer(study: str, series: str, objects: bytes) -> bytes:
    return encode_item(
        StudyInstanceUID=study,
        ReferencedSeriesSequence=encode_item(SeriesInstanceUID=series, ReferencedSOPSequence=objects),
    )
