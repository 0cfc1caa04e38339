"""The objects of a result: same bytes for the same series, other UIDs for another model."""

import io
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta

import pytest
from PIL import Image
from pydicom import dcmread

from lungct import NOTICE
from lungct_tools.dicomout.assessment import date_of, roll_up
from lungct_tools.dicomout.geometry import choose_stack
from lungct_tools.dicomout.objects import build_objects
from lungct_tools.dicomout.overlay import name_directions
from lungct_tools.dicomout.report import _locate
from tests.support.built import build, encode
from tests.support.series import AXIAL, MIRRORED, OBLIQUE, draw_series, refused_slice


@pytest.fixture(scope="module")
def files():
    return (*draw_series(), refused_slice())


@pytest.fixture(scope="module")
def assessment(assess, files):
    return assess(files)


@pytest.fixture(scope="module")
def pictures(assessment, files, overlay):
    return {e.uid: overlay(body) for e, body in zip(assessment.slices, files, strict=True) if e.scored}


@pytest.fixture(scope="module")
def objects(assessment, pictures):
    return build(assessment, pictures)


def uids(objects):
    return {data.SOPInstanceUID for data in objects} | {data.SeriesInstanceUID for data in objects}


def test_a_series_becomes_a_report_that_comes_first_a_map_and_three_captures(objects):
    names = [data.SOPClassUID.name for data in objects]
    assert names == ["Comprehensive 3D SR Storage", "Parametric Map Storage", *["Secondary Capture Image Storage"] * 3]


def test_scoring_twice_gives_the_same_bytes(assess, files, pictures, objects):
    again = list(build_objects(assess(files), pictures))
    assert [made.body for made in again] == [made.body for made in build_objects(assess(files), pictures)]
    assert [made.uid for made in again] == [data.SOPInstanceUID for data in objects]


def test_one_series_in_two_studies_becomes_two_results(assessment, pictures, objects):
    headers = [deepcopy(each.header) for each in assessment.slices]
    for header in headers:
        header.StudyInstanceUID = "2.25.7"
    slices = [replace(each, header=header) for each, header in zip(assessment.slices, headers, strict=True)]
    assert not uids(objects) & uids(build(replace(assessment, slices=slices), pictures))


def test_the_order_in_which_slices_arrived_names_no_other_objects(assess, files, pictures, objects):
    assert uids(build(assess(files[::-1]), pictures)) == uids(objects)


@pytest.mark.parametrize(
    "change", [{"engine": "torch-fp32"}, {"weights_sha256": "0" * 64}, {"options": ("window=file",)}]
)
def test_another_engine_model_or_option_gives_other_uids(assessment, pictures, objects, change):
    other = replace(assessment, algorithm=replace(assessment.algorithm, **change))
    assert not uids(build(other, pictures)) & uids(objects)


def test_another_release_gives_other_uids(assessment, pictures, objects, monkeypatch):
    monkeypatch.setattr("lungct_tools.dicomout.uids.WRITER", "another")
    assert not uids(build(assessment, pictures)) & uids(objects)


def test_a_late_slice_makes_other_objects(assess, files, assessment, pictures, objects):
    assert not uids(build(assess(files[1:]), pictures)) & uids(objects)


def test_the_device_uid_changes_with_the_model_and_not_with_the_series(assess, assessment, objects):
    device = objects[0].DeviceUID
    assert {data.DeviceUID for data in objects} == {device}
    assert {data.ContributingEquipmentSequence[0].DeviceUID for data in objects} == {device}
    other = replace(assessment, algorithm=replace(assessment.algorithm, weights_sha256="0" * 64))
    assert build(other, {})[0].DeviceUID != device
    assert build(assess(draw_series(2, name="b")), {})[0].DeviceUID == device


def test_every_moment_in_an_object_is_of_the_source_or_of_the_scoring(assessment, objects):
    allowed = {"20200101", "120000", "20260304", "050607"}
    for data in (dcmread(io.BytesIO(encode(data))) for data in objects):
        found = {e.value for e in data.iterall() if e.VR in ("DA", "TM", "DT") and e.value}
        assert found <= allowed, data.SOPClassUID.name


def test_a_result_without_a_journal_is_dated_by_its_source(assessment):
    moment = date_of([each.header for each in assessment.slices])
    assert (moment.year, moment.month, moment.day, moment.hour) == (2020, 1, 2, 10)
    assert moment - date_of([]) > timedelta(days=1)


def test_every_object_belongs_to_the_patient_and_the_study(objects, files):
    source = dcmread(io.BytesIO(files[0]))
    for data in objects:
        for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "PatientSex"):
            assert str(data[keyword].value).strip('"') == source[keyword].value


def test_only_what_an_object_needs_is_copied(assess, overlay):
    files = draw_series(2, name="chatty", InstitutionName="CLINIC", OperatorsName="NURSE", PatientComments="SECRET")
    chatty = assess(files)
    for data in build(chatty, {chatty.slices[0].uid: overlay(files[0])}):
        assert not any(word in encode(data) for word in (b"CLINIC", b"NURSE", b"SECRET"))


def test_a_deidentified_result_holds_nobodys_name_and_no_day(assessment, pictures, objects):
    hidden = build(replace(assessment, deidentified=True), pictures)
    for data in hidden:
        assert not any(word in encode(data) for word in (b"PHANTOM", b"20200101", b"20260304"))
        assert data.PatientIdentityRemoved == "YES"
        said = [code.CodeValue for code in data.DeidentificationMethodCodeSequence]
        assert said == ["113100", "113104", "113105", "113109", "113110"]
    assert not uids(hidden) & uids(objects)


def test_every_object_says_that_it_is_for_research(objects):
    for data in objects:
        assert NOTICE.encode() in encode(data)
    assert objects[0].ContentQualification == objects[1].ContentQualification == "RESEARCH"


def test_a_name_in_any_alphabet_survives(assess):
    name = "Μύρων^Ζ=山田^太郎"
    files = draw_series(2, name="greek", SpecificCharacterSet="ISO_IR 192", PatientName=name)
    report = dcmread(io.BytesIO(encode(build(assess(files), {})[0])))
    assert str(report.PatientName) == name


def test_words_in_any_alphabet_survive_in_the_report(assess):
    found = assess(draw_series(2))
    found.slices[0].row["warnings"] = ["Ελέγξτε · 確認"]
    assert "Ελέγξτε · 確認".encode() in next(build_objects(found, {})).body


def test_a_capture_shows_the_overlay_to_the_pixel_above_its_notice(objects, pictures, assessment):
    drawn = Image.open(io.BytesIO(pictures[assessment.peaks()[0].uid])).convert("RGB")
    capture = objects[2]
    shown = Image.fromarray(capture.pixel_array)
    assert capture.BodyPartExamined == "CHEST"
    doubled = drawn.resize((512, 512), Image.Resampling.NEAREST)
    assert shown.crop((0, 0, 512, 512)).tobytes() == doubled.tobytes()
    assert shown.crop((0, 512, 512, shown.height)).getextrema() == ((0, 255),) * 3


def test_what_is_made_of_pixels_that_are_not_square_lies_where_the_network_saw_it(assess, overlay):
    files = draw_series(3, AXIAL, rows=200, name="oblong", PixelSpacing=None, PixelAspectRatio="6\\5")
    found = assess(files)
    drawn = {each.uid: overlay(body) for each, body in zip(found.slices, files, strict=True)}
    captures = build(found, drawn)[-3:]
    assert [list(data.PixelAspectRatio) for data in captures] == [[1200, 1000]] * 3
    spots = {round(_locate(each, found).outline[2][0] - _locate(each, found).outline[0][0], 3) for each in found.slices}
    assert spots == {round(256 / 7, 3)}  # 200 rows of 6 to 5 are 240 columns high, so that the columns fill the canvas


def test_what_is_made_of_lossy_pixels_says_so_as_they_do(assess, overlay):
    """PS3.3 C.7.6.1.1.5: once lossy, for ever."""
    said = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "10",
        "LossyImageCompressionMethod": "ISO_10918_1",
    }
    files = (*draw_series(2, name="mixed"), *draw_series(3, name="mixed", **said)[2:])
    found = assess(files)
    drawn = {each.uid: overlay(body) for each, body in zip(found.slices, files, strict=True)}
    report, evidence, *captures = build(found, drawn)
    assert {keyword: str(evidence[keyword].value) for keyword in said} == said
    lossy = found.slices[2].uid
    for data in captures:
        is_of_it = data.SourceImageSequence[0].ReferencedSOPInstanceUID == lossy
        assert data.LossyImageCompression == ("01" if is_of_it else "00")
        assert ("LossyImageCompressionMethod" in data) == is_of_it
    assert "LossyImageCompression" not in report


def test_captures_are_of_the_most_suspicious_slices(objects, assessment):
    shares = {e.uid: e.row["probabilities"]["Malignant"] for e in assessment.slices if e.scored}
    shown = [data.SourceImageSequence[0].ReferencedSOPInstanceUID for data in objects[2:]]
    assert shown == sorted(shares, key=shares.get, reverse=True)[:3]


@pytest.mark.parametrize(
    ("orientation", "letters"), [(OBLIQUE, ("L", "P")), (MIRRORED, ("R", "A")), (None, ("L", "P"))]
)
def test_a_capture_says_where_its_rows_run(orientation, letters):
    assert name_directions(orientation) == letters


def test_a_series_without_places_gets_no_map_and_all_the_rest(assess):
    lost = assess(draw_series(3, name="lost", ImagePositionPatient=None))
    assert choose_stack(lost) == []
    assert [data.Modality for data in build(lost, {})] == ["SR"]


def test_a_series_of_refused_slices_gets_a_report_that_says_so(assess, files):
    assessed = assess(files)
    only = [each for each in assessed.slices if not each.scored]
    refused = replace(assessed, slices=only, rollup=roll_up(only, assessed.algorithm.classes))
    (report,) = build(refused, {})
    assert b"unsupported_dicom" in encode(report)
