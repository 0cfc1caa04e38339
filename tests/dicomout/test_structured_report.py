"""The report: what it says is what the server said."""

import io

import numpy as np
import pytest
from highdicom import sr
from pydicom import dcmread

from lungct import NOTICE
from lungct_tools.dicomout import codes
from lungct_tools.dicomout.evidence import build_map
from lungct_tools.dicomout.geometry import Cells, find_peak
from lungct_tools.dicomout.report import build_report, choose
from lungct_tools.folder.rollup import RULE
from tests.support.built import encode
from tests.support.series import draw_series, name_copy, read_header, refused_slice


@pytest.fixture(scope="module")
def assessment(assess):
    return assess((*draw_series(), refused_slice()))


@pytest.fixture(scope="module")
def report(assessment):
    return sr.Comprehensive3DSR.from_dataset(dcmread(io.BytesIO(encode(build_report(assessment)))))


def texts(item):
    return {
        (child.ConceptNameCodeSequence[0].CodeValue, child.TextValue)
        for child in item.ContentSequence
        if child.ValueType == "TEXT"
    }


def container(report, code):
    (found,) = (
        item
        for item in report.ContentSequence
        if item.ValueType == "CONTAINER" and item.ConceptNameCodeSequence[0].CodeValue == code.value
    )
    return found


def test_each_slice_that_was_scored_has_its_probabilities_class_and_decision(report, assessment):
    groups = report.content.get_planar_roi_measurement_groups()
    said = {g.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID: g for g in groups}
    scored = [each for each in choose(assessment) if each.scored]
    assert scored
    for each in scored:
        group = said[each.uid]
        values = {m.name.meaning: m.value for m in group.get_measurements()}
        shares = {f"Probability of {name}": share for name, share in each.row["probabilities"].items()}
        assert {name: value for name, value in values.items() if "Signed evidence" not in name} == shares
        evaluations = {e.name.value: e.value for e in group.get_qualitative_evaluations()}
        assert evaluations["PREDICTED"] == codes.code_class(each.row["label"])
        assert evaluations["DECISION"].value == each.row["decision"].upper()
        said_of_it = [text for code, text in texts(group[0]) if code == codes.COMMENT.value]
        assert sorted(said_of_it) == sorted(each.row["warnings"])
    assert any(each.row["warnings"] for each in scored)


def test_the_region_is_the_cell_with_the_strongest_evidence(report, assessment):
    groups = [group for group in report.content.get_planar_roi_measurement_groups() if group.method]
    assert groups
    for group in groups:
        uid = group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        (each,) = (e for e in assessment.slices if e.uid == uid)
        grid = each.grids[each.row["label"]]
        row, column = np.unravel_index(grid.argmax(), grid.shape)
        left, top = group.roi.value.min(axis=0)
        assert (left, top) == pytest.approx((column * 256 / 7, row * 256 / 7), abs=1e-3)
        first = group.get_measurements()[0]  # OHIF 3.12 draws a group only where its first number names the region
        assert first.name == codes.code_evidence(each.row["label"])
        assert first.value == pytest.approx(float(grid.max()))
        (source,) = (item for item in first[0].ContentSequence if item.RelationshipType == "INFERRED FROM")
        assert source.GraphicData == group.roi.GraphicData


def test_a_refused_slice_is_in_the_report_with_its_reason(report, assessment):
    (refused,) = (each for each in assessment.slices if not each.scored)
    measured = container(report, sr.CodedConcept("126010", "DCM", ""))
    comments = {text for group in measured.ContentSequence for code, text in texts(group) if code == "121106"}
    assert f"{refused.row['error']}: {refused.row['message']}" in comments
    assert (codes.UNASSESSED.value, "1 of 5 slices: unsupported_dicom.") in texts(
        container(report, codes.QUALITATIVE_EVALUATIONS)
    )


def test_the_roll_up_its_rule_and_the_notice_stand_in_words(report):
    said = texts(container(report, codes.QUALITATIVE_EVALUATIONS))
    assert {(codes.RULE.value, RULE), (codes.NOTICE.value, NOTICE)} <= said


def test_the_numbers_of_the_roll_up_come_first(report, assessment):
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    values = {m.name.value: m.value for m in group.get_measurements()}
    rollup = assessment.rollup
    assert values == {
        "SUSPICION": rollup["suspicion"], "PEAK": rollup["peak"], "SLICES": 5, "COPIES": 0, "SCORED": 4,
        "REFUSED": 1, "REFERRED": rollup["referred"],
    }  # fmt: skip


def test_a_series_of_too_few_slices_is_given_no_class_and_no_map(assess):
    few = assess(draw_series(2))
    evaluations = container(build_report(few), codes.QUALITATIVE_EVALUATIONS).ContentSequence
    said = {item.ConceptNameCodeSequence[0].CodeValue: item.get("ConceptCodeSequence") for item in evaluations}
    assert said["ASSESSMENT"][0].CodeValue == codes.NOT_ASSESSED.value
    assert said["DECISION"][0].CodeValue == codes.DECISIONS["refer"].value
    assert "PREDICTED" not in said
    assert build_map(few) is None


def test_it_is_preliminary_unverified_and_of_an_algorithm(report, assessment):
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    (observer,) = report.content.get_observer_contexts()
    assert observer.observer_type == codes.DEVICE
    group = next(group for group in report.content.get_planar_roi_measurement_groups() if group.method)
    assert group.method == codes.GRAD_CAM
    items = {i.ConceptNameCodeSequence[0].CodeValue: i for i in group[0].ContentSequence}
    assert items["111001"].TextValue == assessment.algorithm.name
    assert items["111000"].ConceptCodeSequence[0].CodeValue == "123110"


def test_every_group_has_coordinates_or_ohif_shows_nothing_of_the_report(report, assessment):
    groups = container(report, sr.CodedConcept("126010", "DCM", "")).ContentSequence
    assert len(groups) == 1 + len(choose(assessment))
    for group in groups:
        assert "SCOORD" in {item.ValueType for item in group.ContentSequence}


def test_the_numbers_of_the_roll_up_point_to_the_slices_that_decide_it(report, assessment):
    (group,) = report.content.get_volumetric_roi_measurement_groups()
    shown = [region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID for region in group.roi]
    assert shown == [each.uid for each in assessment.peaks()]


def test_copies_decide_neither_what_is_shown_nor_lie_twice_in_the_map(assess):
    series = draw_series(4)
    alone = assess(series)
    (worst,) = (body for body in series if read_header(body).SOPInstanceUID == alone.peaks()[0].uid)
    beside = assess((*series, name_copy(worst, 1), name_copy(worst, 2)))
    assert beside.rollup["copies"] == 2
    assert [each.uid for each in beside.peaks()] == [each.uid for each in alone.peaks()]
    assert build_map(beside).NumberOfFrames == build_map(alone).NumberOfFrames == 4


def test_a_slice_that_nothing_stands_out_on_or_that_was_refused_is_outlined_whole(assess):
    assessment = assess((*draw_series(2), refused_slice()))
    dull = assessment.slices[0]
    for grid in dull.grids.values():
        grid[:] = -1
    report = sr.Comprehensive3DSR.from_dataset(dcmread(io.BytesIO(encode(build_report(assessment)))))
    whole = {
        group.roi.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for group in report.content.get_planar_roi_measurement_groups()
        if group.method is None and np.array_equal(group.roi.value.max(axis=0), [256, 256])
    }
    assert whole == {each.uid for each in assessment.slices if each is dull or not each.scored}


def test_a_later_version_says_so_and_names_the_one_before(assess):
    late = assess(draw_series(2), version=2, replaces=("2.25.1", "2.25.2"))
    report = build_report(late)
    before = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert before.SeriesInstanceUID == "2.25.1"
    assert before.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.2"
    said = dict(texts(container(report, codes.QUALITATIVE_EVALUATIONS)))
    assert said["VERSION"] == "Version 2. It replaces the version before, as slices came late."


def test_nothing_is_said_of_slices_of_the_least_worrying_class_that_need_no_person(assess):
    found = assess(draw_series(6))
    quiet = found.slices[5]
    quiet.row.update(
        label="Normal", decision="report", warnings=[], probabilities={"Normal": 1, "Benign": 0, "Malignant": 0}
    )
    assert quiet not in choose(found)
    assert len(choose(found)) == 5


def test_a_class_that_the_standard_does_not_know_gets_a_code_of_ours():
    code = codes.code_class("Ground glass, subsolid (unsure)")
    assert code.scheme_designator == codes.SCHEME
    assert len(code.value) <= 16
    assert code.value != codes.code_class("Ground glass, subsolid (sure)").value


def test_a_slice_without_positive_evidence_has_no_region():
    cells = Cells.on(200, 256, "pad", 1.0)
    assert find_peak(np.full((7, 7), -1, np.float32), cells, 200, 256) is None


def test_a_peak_is_looked_for_on_the_slice_and_not_on_its_padding():
    cells, grid = Cells.on(100, 256, "pad", 1.0), np.zeros((7, 7), np.float32)
    grid[0, 3], grid[3, 2] = 9, 1
    assert find_peak(grid, cells, 100, 256) == (3, 2)
    outline = cells.outline(2, 6, 100, 256)
    assert outline.min() >= 0
    assert outline[:, 0].max() <= 256
