"""Pixels that are not square are told so and become square on the way; slices that are not axial are refused."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from lungct.pixels.plane import NO_ORIENTATION, TURNED
from tests.support.dicoms import HU, build_ct, build_enhanced, read, refusal, save

STORED = (HU + 1024).astype(np.uint16)  # (64, 64)


def build_spaced(place: str, spacing: list[float]) -> bytes:
    """An enhanced CT whose Pixel Spacing stands in the functional groups of each frame, or in the shared ones."""
    data = dcmread(io.BytesIO(build_enhanced()))
    measures = Dataset()
    measures.PixelSpacing = spacing
    holders = data.PerFrameFunctionalGroupsSequence if place == "each" else data.SharedFunctionalGroupsSequence
    for holder in holders:
        holder.PixelMeasuresSequence = [measures]
    return save(data)


@pytest.mark.parametrize(
    ("elements", "aspect"),
    [
        ({}, 1),
        ({"PixelSpacing": [0.7, 0.7]}, 1),
        ({"PixelSpacing": [1.5, 1.0]}, 1.5),
        ({"PixelSpacing": [0.5, 1.0]}, 0.5),
        ({"PixelAspectRatio": [3, 2]}, 1.5),
        ({"PixelAspectRatio": [1, 1]}, 1),
        ({"PixelSpacing": [0.7, 0.7], "PixelAspectRatio": [2, 1]}, 1),  # spacing is a measurement, so it counts
        ({"PixelSpacing": [0, 0], "PixelAspectRatio": [2, 1]}, 2),
        ({"PixelSpacing": ["", ""], "PixelAspectRatio": [2, 1]}, 2),
        ({"PixelSpacing": ["", ""]}, 1),
        ({"PixelSpacing": None}, 1),
    ],
)
def test_height_over_width_of_a_pixel_is_read_from_spacing_or_else_from_aspect_ratio(elements, aspect):
    assert read(build_ct(**elements)).aspect == pytest.approx(aspect)


@pytest.mark.parametrize("place", ["each", "shared"])
def test_an_enhanced_image_has_its_spacing_in_a_functional_group(place):
    assert read(build_spaced(place, [1.2, 0.8]), frame=1).aspect == pytest.approx(1.5)
    assert refusal(build_spaced(place, [2.1, 1.0]), None, 1).code == "unsupported_dicom"


@pytest.mark.parametrize("holder", ["SharedFunctionalGroupsSequence", None])
def test_a_group_without_the_spacing_leaves_it_to_the_one_that_has_it(holder):
    data, thickness, spacing = dcmread(io.BytesIO(build_enhanced())), Dataset(), Dataset()
    thickness.SliceThickness, spacing.PixelSpacing = 1.25, [1.2, 0.8]
    for group in data.PerFrameFunctionalGroupsSequence:
        group.PixelMeasuresSequence = [thickness]
    if holder:
        data[holder][0].PixelMeasuresSequence = [spacing]
    else:
        data.PixelSpacing = spacing.PixelSpacing
    found = read(save(data))
    assert (found.aspect, found.acquisition.thickness_mm) == (pytest.approx(1.5), 1.25)


def test_the_grid_of_square_pixels_is_as_fine_as_the_finer_side():
    assert read(build_ct(PixelSpacing=[1.5, 1.0])).resampled == (96, 64)
    assert read(build_ct(PixelSpacing=[1.0, 1.5])).resampled == (64, 96)
    assert read(build_ct(PixelSpacing=[0.703125, 0.703])).resampled is None  # no pixel of difference over the slice


@pytest.mark.parametrize("spacing", [[2.01, 1], [1, 2.01], [10, 0.1]])
def test_pixels_more_than_twice_as_long_one_way_are_refused(spacing):
    error = refusal(build_ct(PixelSpacing=spacing))
    assert error.code == "unsupported_dicom"
    assert "twice" in error.message


@pytest.mark.parametrize("spacing", [[0, 1], [-1, -1], [1], [1, 1, 1], ["nan", 1], ["inf", 1]])
def test_a_spacing_that_is_no_pair_of_lengths_is_corrupt(spacing):
    data = dcmread(io.BytesIO(build_ct()))
    data.add_new("PixelSpacing", "LO", [str(value) for value in spacing])
    assert refusal(save(data)).code == "corrupt_image"


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 30), st.floats(0.01, 30))
def test_any_pair_of_lengths_is_read_or_refused_by_its_ratio(down, across):
    body = build_ct(PixelSpacing=[f"{down:.6g}", f"{across:.6g}"])
    ratio = float(f"{down:.6g}") / float(f"{across:.6g}")
    if 0.5 <= ratio <= 2:
        found = read(body)
        rows, columns = found.resampled or found.pixels.shape
        assert found.aspect == ratio
        assert min(rows, columns) == 64
        assert rows / columns == pytest.approx(ratio, abs=0.5 / 64 + 1e-9)
    else:
        assert refusal(body).code == "unsupported_dicom"


@pytest.mark.parametrize(
    "names", [["L", "F"], ["L", "H"], ["P", "F"], ["A", "FR"], ["LA", "FP"], ["F", "L"], ["l", "f"]]
)
def test_without_image_orientation_a_patient_orientation_that_is_not_axial_is_refused(names):
    error = refusal(build_ct(ImageOrientationPatient=None, PatientOrientation=names))
    assert error.code == "unsupported_dicom"
    assert "not axial" in error.message


def test_patient_orientation_tells_axial_slices_and_turned_ones():
    def warn(names, **elements):
        return read(build_ct(PatientOrientation=names, **{"ImageOrientationPatient": None} | elements)).warnings

    assert warn(["L", "P"]) == warn(["LPF", "PR"]) == ()
    assert warn(["R", "P"]) == warn(["L", "A"]) == warn(["P", "L"]) == (TURNED,)
    assert warn(["L", "R"]) == warn(["CR", "D"]) == warn(["L"]) == (NO_ORIENTATION,)
    assert warn(["L", "F"], ImageOrientationPatient=[1, 0, 0, 0, 1, 0]) == ()  # measured, so it counts


def test_the_orientation_of_acr_nema_counts_where_there_is_no_other():
    """Its element (0020,0035) was retired for DICOM's, in which the directions are those of the patient."""
    none = {"ImageOrientationPatient": None}
    assert "not axial" in refusal(build_ct(**none, ImageOrientation=[1, 0, 0, 0, 0, -1])).message
    assert read(build_ct(**none, ImageOrientation=[1, 0, 0, 0, 1, 0])).warnings == ()
    assert read(build_ct(ImageOrientation=[1, 0, 0, 0, 0, -1])).warnings == ()


def test_an_image_orientation_of_empty_values_is_none():
    empty = {"ImageOrientationPatient": [""] * 6}
    assert read(build_ct(**empty)).warnings == (NO_ORIENTATION,)
    assert "not axial" in refusal(build_ct(**empty, PatientOrientation=["L", "F"])).message


@pytest.mark.parametrize("kind", ["CORONAL", "SAGITTAL"])
def test_with_no_orientation_at_all_the_image_type_may_say_that_a_slice_is_not_axial(kind):
    kinds = {"ImageType": ["DERIVED", "SECONDARY", kind]}
    assert "not axial" in refusal(build_ct(ImageOrientationPatient=None, **kinds)).message
    assert read(build_ct(**kinds)).warnings  # the orientation is stated, and axial
