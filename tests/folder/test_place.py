"""Where a slice belongs is read without pydicom from a usual file, and is what pydicom's reading says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset

from lungct_tools.folder import header
from lungct_tools.folder.header import find_place
from tests.support.dicoms import LOSSLESS, build_bare, build_ct, build_enhanced
from tests.support.imports import check_unloaded

PLACED = {
    "StudyInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.3.4",
    "SOPInstanceUID": "1.2.3.4.50",
    "ImagePositionPatient": ["-170.123456", "-1e2", "31.5"],
    "InstanceNumber": "7",
}
VARIANTS = {
    "usual": {},
    "a number with zeros before it": {"InstanceNumber": "007"},
    "no number": {"InstanceNumber": None},
    "no position": {"ImagePositionPatient": None},
    "half a position": {"ImagePositionPatient": ["1", "2"]},
    "an infinite position": {"ImagePositionPatient": ["1", "2", "1e999"]},
    "no series": {"SeriesInstanceUID": None},
    "an empty study": {"StudyInstanceUID": ""},
    "frames by name": {"NumberOfFrames": "1"},
    "in a concatenation": {"InConcatenationNumber": 2},
    "a scout": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    "coronal": {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]},
    "coronal by name": {"ImageOrientationPatient": None, "PatientOrientation": ["L", "F"]},
    "no directions": {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
    "coronal in ACR-NEMA": {"ImageOrientationPatient": None, "ImageOrientation": [1, 0, 0, 0, 0, -1]},
    "no patient": {"PatientID": None},
    "a patient of other letters": {"SpecificCharacterSet": "ISO_IR 100", "PatientID": "B\xfcrger"},
    "another object": {"SOPClassUID": uid.MRImageStorage},
}
CUT = 2**16  # what `bulk list` reads of a file


def find_by_pydicom(body):
    """The same, nothing being usual."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(header, "read_elements", lambda *_: None)
        return find_place(body)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda each: each.name)
def test_a_place_is_what_pydicoms_reading_says(syntax, name):
    body = build_ct(syntax=syntax, **{**PLACED, **VARIANTS[name]})
    assert find_place(body) == find_by_pydicom(body)


@pytest.mark.parametrize("body", [build_bare(), build_enhanced()], ids=["no preamble", "enhanced"])
def test_other_files_have_their_place_too(body):
    assert find_place(body) == find_by_pydicom(body)
    assert find_place(body) is not None


def test_given_files_have_the_same_place_whole_and_cut_off_behind_their_header(data):
    paths = sorted((data / "dicom").rglob("*.dcm"))
    assert paths
    for path in paths:
        body = path.read_bytes()
        assert find_place(body) == find_place(body[:CUT]) == find_by_pydicom(body)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 900), st.binary(min_size=1, max_size=4)), max_size=4))
def test_the_place_of_a_damaged_file_is_what_pydicoms_reading_says(changes):
    body = bytearray(build_ct(**PLACED))
    for at, patch in changes:
        body[at : at + len(patch)] = patch
    assert find_place(bytes(body)) == find_by_pydicom(bytes(body))


def test_the_place_of_a_usual_file_needs_no_pydicom(tmp_path):
    (tmp_path / "slice.dcm").write_bytes(build_ct(**PLACED))
    statements = "from lungct_tools.folder.header import find_place; assert find_place(body).instance == '1.2.3.4.50'"
    check_unloaded(statements, tmp_path / "slice.dcm", "pydicom")


def test_a_list_that_is_longer_than_any_place_is_none_wherever_it_stands():
    """Pydicom takes a minute for millions of numbers."""
    for count, told in ((3, True), (10_000, False)):
        position = ["1"] * count
        plane, frame = Dataset(), Dataset()
        plane.ImagePositionPatient, frame.PlanePositionSequence = position, [plane]
        bare = {**PLACED, "ImagePositionPatient": None, "PerFrameFunctionalGroupsSequence": [frame]}
        for body in (
            build_ct(syntax=uid.ImplicitVRLittleEndian, **{**PLACED, "ImagePositionPatient": position}),
            build_ct(syntax=uid.ImplicitVRLittleEndian, **bare),
        ):
            found = find_place(body)
            assert (bool(found.spot[0]), found.series) == (told, PLACED["SeriesInstanceUID"])
