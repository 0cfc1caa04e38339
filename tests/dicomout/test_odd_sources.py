"""What real archives hold: headers that are not quite valid lose no series, and none of it reaches a log."""

import logging
import warnings
from dataclasses import replace

import numpy as np
import pytest

from lungct_tools.dicomout.assessment import date_of
from lungct_tools.dicomout.evidence import build_map
from lungct_tools.dicomout.report import build_report
from lungct_tools.pacs.headers import Headers
from tests.dicomout.test_map import name_sources
from tests.support.built import build
from tests.support.series import STEP_MM, draw_series, read_header

ODD = {
    "a day that there is not": {"StudyDate": "20200231", "StudyTime": "256199", "PatientBirthDate": "19000230"},
    "a day before X-rays": {"ContentDate": "00010101", "StudyDate": "00010101", "AcquisitionDate": "00010101"},
    "a name without caret": {"PatientName": "SECRET", "ReferringPhysicianName": "SECRET"},
    "no identity": dict.fromkeys(
        ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
         "AccessionNumber", "ReferringPhysicianName")
    ),
    "a sex of its own": {"PatientSex": "male"},
    "long values": {"PatientID": "x" * 64, "AccessionNumber": "y" * 16, "PatientName": "z" * 64 + "^" + "z" * 64},
    "no thickness": {"SliceThickness": None},
    "a thickness of 0": {"SliceThickness": "0"},
    "orientation of two digits": {"ImageOrientationPatient": "0.98\\0.17\\0\\-0.17\\0.98\\0"},
    "one place": {"ImagePositionPatient": "0\\0\\0"},
    "numbers of many digits": {"ImagePositionPatient": "-123.45678901234\\1e-5\\98765432.123456"},
    "no number": {"InstanceNumber": None},
}  # fmt: skip


def read_checked(files):
    """Headers as the child reads them."""
    with Headers() as headers:
        return [headers.read(body) for body in files]


@pytest.fixture(params=ODD)
def odd(request, assess):
    """An assessment of a series with such a header, and its first file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydicom, when it writes such a file for us
        files = draw_series(4, name=request.param, **ODD[request.param])
    found = assess(files)
    slices = [replace(each, header=h) for each, h in zip(found.slices, read_checked(files), strict=True)]
    return replace(found, slices=slices), files[0]


def test_a_series_of_odd_headers_has_all_its_objects_and_nothing_is_said_aloud(odd, overlay, caplog, recwarn):
    caplog.set_level(logging.WARNING)
    assessment, first = odd
    classes = [data.SOPClassUID.name for data in build(assessment, {assessment.slices[0].uid: overlay(first)})]
    assert classes[0] == "Comprehensive 3D SR Storage"
    assert classes[-1] == "Secondary Capture Image Storage"
    assert not caplog.records
    assert not [each for each in recwarn if "SECRET" in str(each.message)]


def test_identity_is_what_the_source_has(odd):
    assessment, first = odd
    report, source = build_report(assessment), read_header(first)
    for keyword in ("PatientName", "PatientID", "StudyDate", "PatientBirthDate", "AccessionNumber"):
        assert str(report[keyword].value or "") in (str(source.get(keyword) or ""), "")


@pytest.mark.parametrize(("name", "frames"), [("one place", [1]), ("no thickness", [4])])
def test_a_map_is_made_of_what_can_be_a_place(assess, name, frames):
    found = assess(draw_series(4, name=name, **ODD[name]))
    assert [data.NumberOfFrames for data in build(found, {}) if "NumberOfFrames" in data] == frames


def test_a_map_holds_one_slice_of_each_place_the_most_suspicious(assess):
    found = assess((*draw_series(3), *draw_series(3, name="again")))
    slices = [*found.slices]
    for each in slices:
        each.header.SeriesInstanceUID, each.header.StudyInstanceUID = "2.25.1", "2.25.2"
        each.header.FrameOfReferenceUID = "2.25.3"
        each.row["probabilities"] = {"Normal": 0, "Benign": 0, "Malignant": 0.5}
    slices[1].row["probabilities"]["Malignant"], slices[3].row["probabilities"]["Malignant"] = 0.9, 0.9
    for number, each in enumerate(slices):
        each.row["pixels_sha256"] = str(number)  # as other slices, not copies
    data = build_map(replace(found, slices=slices))
    assert data.NumberOfFrames == 3
    assert {slices[1].uid, slices[3].uid} < set(name_sources(data))


def test_slices_whose_orientation_differs_in_the_last_digit_are_one_map(assess):
    found = assess(draw_series(3))
    found.slices[1].header.ImageOrientationPatient = [1, 0, 0.00004, 0, 0.99999, 0.00004]
    data = build_map(found)
    assert sorted(name_sources(data)) == sorted(each.uid for each in found.slices)


def test_gaps_between_slices_are_none_in_the_map_but_keep_its_places(assess):
    files = draw_series(6)
    data = build_map(assess((files[0], files[1], files[2], files[5])))
    places = [float(f.PlanePositionSequence[0].ImagePositionPatient[2]) for f in data.PerFrameFunctionalGroupsSequence]
    assert np.diff(places) == pytest.approx([STEP_MM, STEP_MM, 3 * STEP_MM])
    assert "DimensionOrganizationType" not in data  # "3D" is of even steps


def test_a_day_that_was_never_meant_dates_no_result():
    never = {"ContentDate": "00010101", "StudyDate": "20200231", "SeriesDate": None}
    header = read_header(draw_series(1, name="never", AcquisitionDate="18991231", **never)[0])
    assert date_of([header]) == date_of([])
