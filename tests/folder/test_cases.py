"""Small inputs that earlier versions got wrong, and copies and headers of the kinds around them."""

import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset

from lungct_tools.folder.header import find_place
from lungct_tools.folder.rollup import NOT_ASSESSABLE
from lungct_tools.phantom.anatomy import draw_slice
from tests.support.desk import Desk, read_rows, score_folder
from tests.support.dicoms import build_bomb, build_ct
from tests.support.pictures import encode


@pytest.fixture
def desk(pipeline):
    return Desk(pipeline)


def test_copies_of_one_slice_do_not_decide_their_series(cases, desk, tmp_path):
    found = cases / "folder-with-copies-of-one-slice"
    (series,) = score_folder(found, tmp_path / "out", desk).series
    assert (series["slices"], series["copies"]) == (5, 2)
    (tmp_path / "list.txt").write_text("\n".join(str(found / f"IM{number}") for number in (0, 1, 2, 3, 9)))
    (without,) = score_folder(tmp_path / "list.txt", tmp_path / "without", desk).series
    same = ("study", "series", "slices", "label", "suspicion", "peak", "decision")
    assert [series[name] for name in same] == [without[name] for name in same]


def test_one_series_uid_in_two_studies_is_two_rows(cases, desk, tmp_path):
    found = score_folder(cases / "series-uid-in-two-studies", tmp_path / "out", desk).series
    assert [series["slices"] for series in found] == [3, 3]
    assert len({series["study"] for series in found}) == 2


def test_a_zip_with_backslashes_is_two_series_without_noise(cases, desk, tmp_path):
    totals = score_folder(cases / "zip-backslash-folders.zip", tmp_path / "out", desk)
    names = [row["file"] for row in read_rows(tmp_path / "out")]
    assert (names, len(totals.series)) == (["case1/a.png", "case1/b.png", "case2/a.png"], 2)


def test_a_list_with_a_byte_order_mark_is_read(cases, desk, tmp_path, slices):
    (tmp_path / "list.txt").write_bytes((cases / "list-with-UTF8-BOM.txt").read_bytes())
    for name, body in zip(("a.png", "b.png"), slices, strict=False):
        (tmp_path / name).write_bytes(body)
    totals = score_folder(tmp_path / "list.txt", tmp_path / "out", desk)
    assert (totals.labels.total(), totals.errors) == (2, {})


def write_series(folder, count, **elements):
    """DICOM slices of one series, an instance each."""
    folder.mkdir(parents=True)
    for number in range(count):
        place = {
            "SOPInstanceUID": f"1.2.{number}",
            "InstanceNumber": number,
            "ImagePositionPatient": [0, 0, 3 * number],
        }
        body = build_ct(
            (draw_slice(number, "none", 256) + 1024).astype(np.uint16), SeriesInstanceUID="1.2", **place, **elements
        )
        (folder / f"IM{number}").write_bytes(body)


def test_one_instance_in_three_syntaxes_and_as_pictures_counts_once(desk, tmp_path, phantoms):
    write_series(tmp_path / "scans", 3)
    pixels = (draw_slice(2, "none", 256) + 1024).astype(np.uint16)
    place = {"SOPInstanceUID": "1.2.2", "InstanceNumber": 2, "ImagePositionPatient": [0, 0, 6.0001]}
    for name, syntax in (("jpegls", uid.JPEGLSLossless), ("lossy", uid.JPEG2000)):
        body = build_ct(pixels, syntax, SeriesInstanceUID="1.2", **place)
        (tmp_path / "scans" / name).write_bytes(body)
    (tmp_path / "scans" / "anonymised").write_bytes(
        build_ct(pixels, SeriesInstanceUID="1.2", **{**place, "SOPInstanceUID": "1.3"})
    )
    (series,) = score_folder(tmp_path / "scans", tmp_path / "out", desk).series
    assert (series["slices"], series["copies"], series["warnings"]) == (3, 3, "")
    for kind in ("PNG", "TIFF", "BMP"):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        (tmp_path / "pictures" / f"slice.{kind}").write_bytes(encode(phantoms[0], kind))
    (series,) = score_folder(tmp_path / "pictures", tmp_path / "out-pictures", desk).series
    assert (series["slices"], series["copies"], series["label"]) == (1, 2, NOT_ASSESSABLE)


def test_one_instance_at_two_positions_is_scored_twice_and_warned_of(desk, tmp_path):
    write_series(tmp_path / "scans", 3)
    body = build_ct(
        (draw_slice(9, "none", 256) + 1024).astype(np.uint16),
        SeriesInstanceUID="1.2", SOPInstanceUID="1.2.2", InstanceNumber=3, ImagePositionPatient=[0, 0, 9],
    )  # fmt: skip
    (tmp_path / "scans" / "IM3").write_bytes(body)
    (series,) = score_folder(tmp_path / "scans", tmp_path / "out", desk).series
    assert (series["scored"], series["copies"]) == (4, 0)
    assert "several positions" in series["warnings"]


def test_a_head_of_which_one_slice_passed_is_not_assessable(desk, tmp_path, slices):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "chest.png").write_bytes(slices[2])
    for number in range(5):
        (tmp_path / "scans" / f"head{number}.png").write_bytes(encode(np.full((64, 64), number, np.uint8), "PNG"))
    (series,) = score_folder(tmp_path / "scans", tmp_path / "out", desk).series
    assert (series["label"], series["decision"], series["scored"]) == (NOT_ASSESSABLE, "refer", 1)


def test_scouts_and_other_planes_do_not_keep_a_series_from_being_assessed(desk, tmp_path):
    write_series(tmp_path / "scans", 3)
    for number, more in enumerate(({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},) * 3, 3):
        body = build_ct(SeriesInstanceUID="1.2", SOPInstanceUID=f"1.2.{number}", InstanceNumber=number, **more)
        (tmp_path / "scans" / f"scout{number}").write_bytes(body)
    coronal = build_ct(SeriesInstanceUID="1.2", SOPInstanceUID="1.2.9", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    (tmp_path / "scans" / "coronal").write_bytes(coronal)
    (series,) = score_folder(tmp_path / "scans", tmp_path / "out", desk).series
    assert (series["scored"], series["refused"], series["decision"]) == (3, 4, "refer")
    assert series["label"] != NOT_ASSESSABLE


def test_files_that_were_cut_short_are_slices_that_are_missing_and_reports_are_none():
    whole = build_ct()
    assert find_place(whole).axial
    assert find_place(whole[:700]).axial  # no rows and columns yet
    assert not find_place(build_ct(SOPClassUID=uid.BasicTextSRStorage)).axial
    assert not find_place(build_ct(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])).axial
    assert find_place(build_ct(ImageOrientationPatient=[0, 0, 0, 0, 0, 0])).axial  # damaged, not another plane


def test_two_patients_deflated_files_in_one_folder_are_two_series(desk, tmp_path):
    (tmp_path / "scans").mkdir()
    for patient in "12":
        write_series(tmp_path / patient, 3, syntax=uid.DeflatedExplicitVRLittleEndian, StudyInstanceUID=f"1.{patient}")
        for path in (tmp_path / patient).iterdir():
            path.rename(tmp_path / "scans" / f"{patient}-{path.name}")
    found = score_folder(tmp_path / "scans", tmp_path / "out", desk).series
    assert [(series["slices"], series["copies"]) for series in found] == [(3, 0)] * 2
    plain, deflated = (
        find_place(build_ct(syntax=syntax, SeriesInstanceUID="1.2", ImagePositionPatient=[0, 0, 1]))
        for syntax in (uid.ExplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian)
    )
    assert deflated == plain


def test_of_a_deflated_file_no_more_is_inflated_than_a_header_takes():
    bomb = build_bomb(500 * 2**20)
    tracemalloc.start()
    try:
        assert find_place(bomb).instance == "1.2.826.0.1.3680043.8.498.1"
        # behind an element that is none pydicom alone finds the syntax, and it inflates all
        assert find_place(bomb.replace(b"\2\0\x10\0UI", b"\2\0\x10\0??", 1)) is None
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


def position(z):
    group = Dataset()
    plane = Dataset()
    plane.ImagePositionPatient = [0, 0, z]
    group.PlanePositionSequence = [plane]
    return group


def test_an_enhanced_files_place_is_that_of_the_frame_which_is_scored():
    pixels = np.zeros((3, 8, 8), np.uint16)
    frames = {"PerFrameFunctionalGroupsSequence": [position(z) for z in (10, 20, 30)]}
    whole = find_place(build_ct(pixels, SOPInstanceUID="1.2.3", **frames))
    assert whole.order == -20
    parts = [find_place(build_ct(pixels, SOPInstanceUID="1.2.3", InConcatenationNumber=n, **frames)) for n in (1, 2)]
    single = find_place(build_ct(SOPInstanceUID="1.2.3", ImagePositionPatient=[0, 0, 20]))
    assert len({place.spot for place in (whole, single, *parts)}) == 4


@pytest.mark.parametrize("given", [b"x.5\\y.5\\z.5", b"1.5\\nan\\3.5", b"1.5\\2.5+3.5", b"1.5\\2.5\\9e9"])
def test_a_position_that_is_none_costs_the_position_and_not_the_series(given):
    body = build_ct(SeriesInstanceUID="1.2", ImagePositionPatient=[1.5, 2.5, 3.5], InstanceNumber=7)
    assert find_place(body).order == -3.5
    with warnings.catch_warnings(action="ignore"):
        place = find_place(body.replace(b"1.5\\2.5\\3.5", given))
    assert (place.series, place.order) == ("1.2", -9e9 if given.endswith(b"9e9") else 7)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_patients_slices_of_one_name_in_one_zip_are_two_slices(desk, tmp_path, slices):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for folder, body in zip(("a", "b", "B", "b"), slices, strict=True):
            archive.writestr(f"{folder}/IM0001", body)
    totals = score_folder(tmp_path / "two.zip", tmp_path / "out", desk)
    assert (totals.labels.total(), totals.copies, len(totals.series)) == (4, 0, 3)
