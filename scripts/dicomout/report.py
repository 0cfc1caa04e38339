"""The report: TID 1500 (PS3.16) as Comprehensive 3D SR or Enhanced SR, preliminary, unverified, for research."""

from __future__ import annotations

from collections.abc import Iterable

from highdicom import sr
from highdicom.sr.coding import CodedConcept
from lungct import NOTICE
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from scripts.dicomout import codes
from scripts.dicomout.assessment import Assessment, Slice
from scripts.dicomout.geometry import Cells, find_peak
from scripts.dicomout.identity import MANUFACTURER, MODEL, describe_series, describe_software, finish, source_header
from scripts.dicomout.uids import name_device, name_object
from scripts.folder.rollup import RULE

KINDS = {"comprehensive3d": sr.Comprehensive3DSR, "enhanced": sr.EnhancedSR}
_CONTAINS = sr.RelationshipTypeValues.CONTAINS


def build_report(assessment: Assessment, kind: str = "comprehensive3d") -> Dataset:
    """The report of a series.

    Args:
        kind: of KINDS.
    """
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_describe_observer(assessment)),
        procedure_reported=codes.CT_OF_CHEST,
        imaging_measurements=[_measure_series(assessment), *(_describe(e, assessment) for e in choose(assessment))],
        title=codes.MEASUREMENT_REPORT,
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            CodedConcept.from_code(codes.ENGLISH)
        ),
    )
    content[0].ContentSequence.append(_evaluate_series(assessment))
    report = KINDS[kind](
        evidence=[source_header(each.header, assessment) for each in assessment.slices],
        content=content[0],
        sop_instance_uid=name_object("report", assessment, kind),
        instance_number=1,
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=_name_version_before(assessment, kind),
        **describe_series("report", assessment),
        **describe_software(assessment),
    )
    report.ContentQualification = "RESEARCH"
    return finish(report, assessment)


def choose(assessment: Assessment) -> list[Slice]:
    """The slices of which something is said: all but those that are of the least worrying class without a reserve."""
    harmless, peaks = assessment.algorithm.classes[0], {each.uid for each in assessment.peaks()}

    def silent(row: dict[str, object]) -> bool:
        return row["label"] == harmless and row["decision"] == "report" and not row["warnings"]

    return [each for each in assessment.slices if not each.scored or each.uid in peaks or not silent(each.row)]


def _describe_observer(assessment: Assessment) -> sr.ObserverContext:
    return sr.ObserverContext(
        observer_type=codes.DEVICE,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=name_device(assessment),
            name=f"{MODEL} {assessment.algorithm.name} {assessment.algorithm.version}",
            manufacturer_name=MANUFACTURER,
            model_name=MODEL,
            serial_number=assessment.algorithm.weights_sha256,
        ),
    )


def _identify(assessment: Assessment) -> sr.AlgorithmIdentification:
    """TID 4019."""
    made_by = assessment.algorithm
    return sr.AlgorithmIdentification(
        name=made_by.name,
        version=made_by.version,
        parameters=[f"weights_sha256={made_by.weights_sha256}", f"engine={made_by.engine}", *made_by.options],
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
    )


def _measure_series(assessment: Assessment) -> sr.MeasurementsAndQualitativeEvaluations:
    """TID 1501: the numbers of the roll-up, first in the report."""
    rollup = assessment.rollup
    counts = {code: rollup[name] for name, code in _COUNTS.items()}
    shares = {code: rollup[name] for name, code in _SHARES.items() if rollup[name] != ""}
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(name_object("roll-up", assessment), "Roll-up of the series"),
        finding_type=codes.SERIES,
        algorithm_id=_identify(assessment),
        measurements=[
            *(sr.Measurement(code, value, codes.NO_UNITS) for code, value in shares.items()),
            *(sr.Measurement(code, value, codes.IMAGES) for code, value in counts.items()),
        ],
        qualitative_evaluations=_judge(rollup["label"], rollup["decision"]),
    )


_COUNTS = {
    "slices": codes.SLICES, "scored": codes.SCORED, "refused": codes.REFUSED, "referred": codes.REFERRED,
}  # fmt: skip
_SHARES = {"suspicion": codes.SUSPICION, "peak": codes.PEAK}


def _judge(label: str, decision: str) -> list[sr.QualitativeEvaluation]:
    predicted = [sr.QualitativeEvaluation(codes.PREDICTED, codes.code_class(label))] if label else []
    return [*predicted, sr.QualitativeEvaluation(codes.DECISION, codes.DECISIONS[decision])]


def _describe(each: Slice, assessment: Assessment) -> sr.MeasurementsAndQualitativeEvaluations:
    """TID 1410 with the peak cell as region, since OHIF shows no group without one; else TID 1501."""
    header, row = each.header, each.row
    number = header.get("InstanceNumber")
    tracking = sr.TrackingIdentifier(
        name_object("slice", assessment, each.uid), f"Slice {number}" if number is not None else "Slice"
    )
    if not each.scored:
        return _add_comments(
            sr.MeasurementsAndQualitativeEvaluations(
                tracking_identifier=tracking,
                qualitative_evaluations=[sr.QualitativeEvaluation(codes.ASSESSMENT, codes.NOT_ASSESSED)],
                source_images=[sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)],
            ),
            [f"{row['error']}: {row['message']}"],
        )
    said = {
        "tracking_identifier": tracking,
        "finding_type": codes.code_class(row["label"]),
        "algorithm_id": _identify(assessment),
        "measurements": [
            sr.Measurement(codes.code_probability(name), share, codes.NO_UNITS)
            for name, share in row["probabilities"].items()
        ],
        "qualitative_evaluations": _judge(row["label"], row["decision"]),
    }
    region = _outline_peak(each, assessment)
    if region is None:
        source = [sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID)]
        group = sr.MeasurementsAndQualitativeEvaluations(**said, source_images=source)
    else:
        group = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            **said, method=codes.GRAD_CAM, referenced_region=region
        )
    return _add_comments(group, row["warnings"])


def _outline_peak(each: Slice, assessment: Assessment) -> sr.ImageRegion | None:
    """The cell with the strongest evidence for the slice's class; None without positive evidence."""
    if each.row["label"] not in each.grids:
        return None
    rows, columns = int(each.header.Rows), int(each.header.Columns)
    cells = Cells.on(rows, columns, assessment.algorithm.geometry)
    peak = find_peak(each.grids[each.row["label"]], cells, rows, columns)
    if peak is None:
        return None
    return sr.ImageRegion(
        sr.GraphicTypeValues.POLYLINE,
        cells.outline(*peak, rows, columns),
        sr.SourceImageForRegion(each.header.SOPClassUID, each.header.SOPInstanceUID),
    )


def _add_comments(
    group: sr.MeasurementsAndQualitativeEvaluations, sentences: Iterable[str]
) -> sr.MeasurementsAndQualitativeEvaluations:
    for sentence in sentences:
        group[0].ContentSequence.append(sr.TextContentItem(codes.COMMENT, sentence, _CONTAINS))
    return group


def _evaluate_series(assessment: Assessment) -> sr.ContainerContentItem:
    """TID 1500 row 12: class and decision of the series, and in words how they came about and what is missing."""
    rollup = assessment.rollup
    container = sr.ContainerContentItem(codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence()
    answers = [(codes.DECISION, codes.DECISIONS[rollup["decision"]])]
    if rollup["label"]:
        answers.insert(0, (codes.PREDICTED, codes.code_class(rollup["label"])))
    for question, answer in answers:
        container.ContentSequence.append(sr.CodeContentItem(question, answer, _CONTAINS))
    for concept, sentence in _explain(assessment):
        container.ContentSequence.append(sr.TextContentItem(concept, sentence, _CONTAINS))
    return container


def _explain(assessment: Assessment) -> list[tuple[Code, str]]:
    refused = [each for each in assessment.slices if not each.scored]
    reasons = sorted({str(each.row["error"]) for each in refused})
    missing = f"{len(refused)} of {len(assessment.slices)} slices: {', '.join(reasons)}." if refused else "Nothing."
    before = " It replaces the version before, as slices came late." if assessment.version > 1 else ""
    return [
        (codes.NOTICE, NOTICE),
        (codes.RULE, RULE),
        (codes.UNASSESSED, missing),
        (codes.VERSION, f"Version {assessment.version}.{before}"),
    ]


def _name_version_before(assessment: Assessment, kind: str) -> list[Dataset] | None:
    if assessment.replaces is None:
        return None
    before = Dataset()
    before.StudyInstanceUID = assessment.slices[0].header.StudyInstanceUID
    before.SeriesInstanceUID, before.SOPInstanceUID = assessment.replaces
    before.SOPClassUID = _CLASS_UIDS[kind]
    return [before]


_CLASS_UIDS = {"comprehensive3d": "1.2.840.10008.5.1.4.1.1.88.34", "enhanced": "1.2.840.10008.5.1.4.1.1.88.22"}
