"""The synthetic slice: same seed, same bytes; honest HU; files that others can read."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from lungct.window import LUNG
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import encode_dicom, write_dicom
from lungct_tools.phantom.picture import write_png
from tests.conftest import run_script

SIZE = 128


def test_equal_seeds_draw_equal_slices() -> None:
    assert np.array_equal(draw_slice(3, "spiculated", SIZE), draw_slice(3, "spiculated", SIZE))


def test_different_seeds_draw_different_anatomy() -> None:
    assert (np.abs(draw_slice(1, size=SIZE) - draw_slice(2, size=SIZE)) > 300).mean() > 0.02


@pytest.mark.parametrize("size", [64, 128, 512])
def test_a_slice_is_square_int16_within_the_ct_range(size: int) -> None:
    hu = draw_slice(0, "smooth", size)
    assert (hu.shape, hu.dtype) == ((size, size), np.int16)
    assert hu.min() == -1024
    assert 300 < hu.max() <= 3071


def test_corners_outside_the_field_of_view_are_padding() -> None:
    hu = draw_slice(0, size=SIZE)
    assert {hu[0, 0], hu[0, -1], hu[-1, 0], hu[-1, -1]} == {-1024}


@pytest.mark.parametrize("seed", range(3))
def test_lung_fat_and_muscle_have_their_attenuation(seed: int) -> None:
    hu = draw_slice(seed)
    for low, high, least in ((-960, -780, 0.10), (-150, -50, 0.03), (0, 90, 0.10), (250, 1500, 0.01)):
        assert ((hu > low) & (hu < high)).mean() > least, f"too little between {low} and {high} HU"


@pytest.mark.parametrize("kind", ["smooth", "spiculated"])
@pytest.mark.parametrize("seed", range(3))
def test_a_nodule_changes_only_a_dense_spot_in_the_lung(kind: str, seed: int) -> None:
    before, after = draw_slice(seed), draw_slice(seed, kind)
    rows, columns = np.nonzero(np.abs(after.astype(int) - before) > 50)
    assert 100 < rows.size < 2000
    assert max(np.ptp(rows), np.ptp(columns)) * 360 / 512 < 45  # mm
    middle = round(rows.mean()), round(columns.mean())
    assert abs(after[middle] - 30) < 150


def test_an_unknown_nodule_is_refused() -> None:
    with pytest.raises(ValueError, match="nodule must be one of"):
        draw_slice(0, "cavitary", SIZE)


def test_dicom_gives_back_the_same_hu() -> None:
    hu = draw_slice(0, "smooth", SIZE)
    data = pydicom.dcmread(io.BytesIO(encode_dicom(hu)))
    assert np.array_equal(data.pixel_array * data.RescaleSlope + data.RescaleIntercept, hu)


def test_dicom_carries_the_tags_of_an_axial_ct() -> None:
    data = pydicom.dcmread(io.BytesIO(encode_dicom(draw_slice(0, size=SIZE))))
    assert data.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID
    assert data.SOPClassUID == pydicom.uid.CTImageStorage
    assert list(data.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert (data.Modality, data.PhotometricInterpretation) == ("CT", "MONOCHROME2")
    assert (data.PatientName, data.PatientID) == ("PHANTOM^SYNTHETIC", "PHANTOM")
    assert (data.RescaleIntercept, data.RescaleSlope) == (-1024, 1)
    assert (data.WindowCenter, data.WindowWidth) == (-500, 1500)
    assert list(data.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    assert list(data.PixelSpacing) == [360 / SIZE, 360 / SIZE]
    assert len(data.ImagePositionPatient) == 3
    assert data.SliceThickness > 0


def test_equal_pixels_give_equal_dicom_bytes_and_other_pixels_other_uids() -> None:
    one, two = draw_slice(1, size=SIZE), draw_slice(2, size=SIZE)
    assert encode_dicom(one) == encode_dicom(one.copy())
    first, second = (pydicom.dcmread(io.BytesIO(encode_dicom(hu))) for hu in (one, two))
    assert first.SOPInstanceUID != second.SOPInstanceUID


def test_files_hold_what_the_functions_return(tmp_path: Path) -> None:
    hu = draw_slice(0, size=SIZE)
    write_dicom(hu, tmp_path / "a.dcm")
    write_png(hu, tmp_path / "a.png")
    assert (tmp_path / "a.dcm").read_bytes() == encode_dicom(hu)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), LUNG.render(hu))


def test_the_script_writes_what_it_says(tmp_path: Path) -> None:
    done = run_script(
        "phantom", tmp_path / "new" / "slice", "--format", "dicom", "png", "--size", SIZE, "--nodule", "smooth"
    )
    paths = [tmp_path / "new" / "slice.dcm", tmp_path / "new" / "slice.png"]
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"wrote {path}" for path in paths]
    assert paths[0].read_bytes() == encode_dicom(draw_slice(0, "smooth", SIZE))


def test_the_script_fills_a_folder_with_seeds_in_a_row(tmp_path: Path) -> None:
    done = run_script("phantom", tmp_path, "--seed", 5, "--count", 2, "--size", SIZE)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["phantom-none-5.dcm", "phantom-none-6.dcm"]


@pytest.mark.parametrize("wrong", [("--nodule", "cavitary"), ("--seed", -1), ("--count", 0), ("--size", 8)])
def test_a_wrong_argument_exits_2_and_writes_nothing(tmp_path: Path, wrong: tuple[object, ...]) -> None:
    done = run_script("phantom", tmp_path / "slice", *wrong)
    assert done.returncode == 2
    assert wrong[0] in done.stderr
    assert not any(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_one_sentence_and_exit_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = run_script("phantom", tmp_path / "file" / "slice", "--size", SIZE)
    assert done.returncode == 1
    assert done.stderr.startswith("phantom: cannot write ")
    assert len(done.stderr.splitlines()) == 1


def test_help_shows_an_example_and_that_it_is_research_use_only() -> None:
    done = run_script("phantom", "--help")
    assert done.returncode == 0
    assert "example: lungct phantom" in done.stdout
    assert "Research use only" in done.stdout


def test_a_series_is_one_and_its_slices_lie_apart_as_thick_as_they_are(tmp_path: Path) -> None:
    done = run_script("phantom", tmp_path, "--series", "--count", 4, "--size", SIZE, "--nodule", "smooth")
    assert done.returncode == 0, done.stderr
    found = [pydicom.dcmread(path) for path in sorted(tmp_path.iterdir())]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({data[keyword].value for data in found}) == 1
    assert len({data.SOPInstanceUID for data in found}) == 4
    assert [data.InstanceNumber for data in found] == [1, 2, 3, 4]
    heights = np.array([data.ImagePositionPatient[2] for data in found], float)
    assert np.allclose(np.diff(heights), float(found[0].SliceThickness))
    assert run_script("phantom", tmp_path, "--series", "--format", "png").returncode == 2
