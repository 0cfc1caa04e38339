"""The report: TID 1500 (PS3.16) as Comprehensive 3D SR or Enhanced SR, preliminary, unverified, for research."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from highdicom import sr
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_sequence_item
from pydicom.tag import Tag
from pydicom.uid import Comprehensive3DSRStorage, EnhancedSRStorage

from lungct import NOTICE
from lungct_tools.dicomout import codes
from lungct_tools.dicomout.assessment import Assessment, Slice
from lungct_tools.dicomout.geometry import Cells, find_aspect, find_peak
from lungct_tools.dicomout.identity import MANUFACTURER, MODEL, as_source, describe, finish
from lungct_tools.dicomout.uids import name_device, name_object
from lungct_tools.folder.record import Row
from lungct_tools.folder.rollup import NOT_ASSESSABLE, RULE

KINDS = {
    "comprehensive3d": (sr.Comprehensive3DSR, Comprehensive3DSRStorage),
    "enhanced": (sr.EnhancedSR, EnhancedSRStorage),
}
_CONTAINS = sr.RelationshipTypeValues.CONTAINS
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
    evidence = [as_source(each) for each in assessment.slices]
    make, sop_class = KINDS[kind]
    root = _write_content(assessment)[0]
    groups, root.ContentSequence = root.ContentSequence, []
    report = make(
        evidence,
        root,
        **describe("report", name_object("report", assessment, kind), assessment),
        content_qualification="RESEARCH",
        is_complete=True,
        previous_versions=[_name_version_before(evidence[0], assessment, sop_class)] if assessment.replaces else None,
    )
    # Last, as highdicom copies and searches what it is given: of 300 slices that takes 4 s and 60 MB more.
    report.ContentSequence = groups
    finish(report, assessment)
    for item in (report, *groups):
        item.set_original_encoding(False, True, item._character_set)  # else pydicom parses what is packed to write it
    return report


def choose(assessment: Assessment) -> list[Slice]:
    """The slices of which something is said: all but those that are of the least worrying class without a reserve."""
    harmless, peaks = assessment.algorithm.classes[0], {each.uid for each in assessment.peaks()}

    def silent(row: dict[str, object]) -> bool:
        return row["label"] == harmless and row["decision"] == "report" and not row["warnings"]

    return [each for each in assessment.slices if not each.scored or each.uid in peaks or not silent(each.row)]


def _write_content(assessment: Assessment) -> sr.MeasurementReport:
    """TID 1500, with its row 12, which highdicom leaves out, as a heading that is written after it."""
    made_by = assessment.algorithm
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=name_device(assessment),
        name=f"{MODEL} {made_by.name} {made_by.version}",
        manufacturer_name=MANUFACTURER,
        model_name=MODEL,
        serial_number=made_by.weights_sha256,
    )
    algorithm = _identify(assessment)
    content = sr.MeasurementReport(
        sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DEVICE, device)),
        codes.CT_OF_CHEST,
        [
            _measure_series(assessment, algorithm),
            *(_describe(each, assessment, algorithm) for each in choose(assessment)),
        ],
    )
    evaluations = sr.ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    evaluations.ContentSequence = list(_evaluate_series(assessment))
    content[0].ContentSequence.append(evaluations)
    return content


def _identify(assessment: Assessment) -> sr.AlgorithmIdentification:
    """TID 4019."""
    made_by = assessment.algorithm
    parameters = [f"weights_sha256={made_by.weights_sha256}", f"engine={made_by.engine}", *made_by.options]
    return sr.AlgorithmIdentification(made_by.name, made_by.version, parameters, codes.ARTIFICIAL_INTELLIGENCE)


def _measure_series(
    assessment: Assessment, algorithm: sr.AlgorithmIdentification
) -> sr.VolumetricROIMeasurementsAndQualitativeEvaluations:
    """TID 1411: the numbers of the roll-up, first in the report, with regions on the slices that decide it."""
    rollup = assessment.rollup
    slices = assessment.peaks() or assessment.slices[:1]
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(name_object("roll-up", assessment), "Roll-up of the series"),
        [_locate(each, assessment).region() for each in slices],
        finding_type=codes.SERIES,
        algorithm_id=algorithm,
        measurements=[
            *(sr.Measurement(c, rollup[name], codes.NO_UNITS) for name, c in _SHARES.items() if rollup[name] != ""),
            *(sr.Measurement(c, rollup[name], codes.IMAGES) for name, c in _COUNTS.items()),
        ],
        qualitative_evaluations=list(_judge(rollup["label"], rollup["decision"])),
    )


def _judge(label: str, decision: str) -> Iterator[sr.QualitativeEvaluation]:
    """Class and decision of a slice or a series; too few slices of a series make no class."""
    if label == NOT_ASSESSABLE:
        yield _excuse()
    else:
        yield sr.QualitativeEvaluation(codes.PREDICTED, codes.code_class(label))
    yield sr.QualitativeEvaluation(codes.DECISION, codes.DECISIONS[decision])


def _excuse() -> sr.QualitativeEvaluation:
    return sr.QualitativeEvaluation(codes.ASSESSMENT, codes.NOT_ASSESSED)


def _describe(
    each: Slice, assessment: Assessment, algorithm: sr.AlgorithmIdentification
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """TID 1410: what is said of a slice."""
    number, spot = each.header.get("InstanceNumber"), _locate(each, assessment)
    name = "Slice" if number is None else f"Slice {number}"
    group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(name_object("slice", assessment, each.uid), name),
        spot.region(),
        **(_assess(each.row, spot.evidence, algorithm) if each.scored else {"qualitative_evaluations": [_excuse()]}),
    )
    items = group[0].ContentSequence
    if spot.evidence is not None:
        # highdicom has a method as CONTAINS, where TID 1419 says otherwise, and takes no number of TID 1410 that names
        # its region, which TID 320 lets it do and by which OHIF 3.12 draws it.
        items.find(codes.METHOD)[0].RelationshipType = sr.RelationshipTypeValues.HAS_CONCEPT_MOD.value
        items.find(codes.code_evidence(each.row["label"]))[0].ContentSequence = [spot.source()]
    remarks = each.row["warnings"] if each.scored else [f"{each.row['error']}: {each.row['message']}"]
    items.extend(sr.TextContentItem(codes.COMMENT, remark, _CONTAINS) for remark in remarks)
    _pack(group[0])
    return group


def _pack(item: sr.ContentItem) -> None:
    """Hold what stands below a heading as the bytes that are written: as data sets, 300 slices take 35 MB."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    for child in item.ContentSequence:
        write_sequence_item(stream, child, ["ISO_IR 192"])
    body, tag = stream.getvalue(), Tag("ContentSequence")
    item[tag] = RawDataElement(tag, "SQ", len(body), body, 0, False, True)
    item.set_original_encoding(False, True, item._character_set)


def _assess(row: Row, evidence: float | None, algorithm: sr.AlgorithmIdentification) -> dict[str, Any]:
    """Class, numbers and decision of a scored slice; the evidence first, as OHIF draws the region of the first."""
    measured = {codes.code_probability(name): share for name, share in row["probabilities"].items()}
    if evidence is not None:
        measured = {codes.code_evidence(row["label"]): evidence, **measured}
    return {
        "finding_type": codes.code_class(row["label"]),
        "method": None if evidence is None else codes.GRAD_CAM,
        "algorithm_id": algorithm,
        "measurements": [sr.Measurement(code, value, codes.NO_UNITS) for code, value in measured.items()],
        "qualitative_evaluations": list(_judge(row["label"], row["decision"])),
    }


class _Spot(NamedTuple):
    """Where on a slice, (5, 2) column, row; the evidence for the slice's class there, None where nothing stands out."""

    outline: npt.NDArray[np.float64]
    each: Slice
    evidence: float | None

    def region(self) -> sr.ImageRegion:
        return sr.ImageRegion("POLYLINE", self.outline, self._image())

    def source(self) -> sr.CoordinatesForMeasurement:
        return sr.CoordinatesForMeasurement("POLYLINE", self.outline, self._image(), codes.SOURCE_OF_MEASUREMENT)

    def _image(self) -> sr.SourceImageForRegion:
        return sr.SourceImageForRegion(self.each.header.SOPClassUID, self.each.uid)


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
            return _Spot(cells.outline(*peak, rows, columns), each, float(grid[peak]))
    return _Spot(Cells(0, 0, rows, columns).outline(0, 0, rows, columns), each, None)


def _evaluate_series(assessment: Assessment) -> Iterator[sr.ContentItem]:
    """TID 1500 row 12: class and decision of the series, and in words how they came about and what is missing."""
    rollup = assessment.rollup
    refused = [each for each in assessment.slices if not each.scored]
    reasons = sorted({str(each.row["error"]) for each in refused})
    missing = f"{len(refused)} of {len(assessment.slices)} slices: {', '.join(reasons)}." if refused else "Nothing."
    before = ""
    if assessment.version > 1:
        before = " It replaces the version before, as slices came late." if assessment.replaces else f" {_OF_THE_LATE}"
    for evaluation in _judge(rollup["label"], rollup["decision"]):
        yield from evaluation
    for name, sentence in (
        (codes.NOTICE, NOTICE),
        (codes.RULE, RULE),
        (codes.UNASSESSED, missing),
        (codes.VERSION, f"Version {assessment.version}.{before}"),
    ):
        yield sr.TextContentItem(name, sentence, _CONTAINS)


def _name_version_before(source: Dataset, assessment: Assessment, sop_class: str) -> Dataset:
    before = Dataset()
    before.StudyInstanceUID, before.SOPClassUID = source.StudyInstanceUID, sop_class
    before.SeriesInstanceUID, before.SOPInstanceUID = assessment.replaces or ("", "")
    return before
