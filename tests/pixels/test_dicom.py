"""DICOM: HU are HU however a file stores them, and what is no axial CT slice is refused with a reason."""

import io

import numpy as np
import pytest
from pydicom import dcmread, uid

from lungct.errors import LungCTError
from lungct.window import LUNG, Window
from tests.support.dicoms import (
    HU,
    LOSSLESS,
    PATIENT,
    build_bare,
    build_ct,
    build_enhanced,
    read,
    refusal,
    save,
)
from tests.support.pictures import encode


def test_slope_and_intercept_turn_values_into_hu():
    stored = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    found = read(build_ct(stored, RescaleSlope="0.25", RescaleIntercept="-900.5"))
    assert np.array_equal(found.pixels, LUNG.render(stored * 0.25 - 900.5))


def test_monochrome1_is_rendered_like_monochrome2():
    one, two = (read(build_ct(PhotometricInterpretation=f"MONOCHROME{i}")) for i in (1, 2))
    assert np.array_equal(one.pixels, two.pixels)
    assert (one.window, one.rule, one.warnings) == (two.window, two.rule, two.warnings)


def test_a_file_that_does_not_say_which_gray_it_has_is_read_in_every_syntax():
    for syntax in LOSSLESS:
        data = dcmread(io.BytesIO(build_ct(syntax=syntax)))
        expected = read(save(data)).pixels
        del data.PhotometricInterpretation
        assert np.array_equal(read(save(data)).pixels, expected), syntax.name


@pytest.mark.parametrize(
    "elements",
    [
        {"PhotometricInterpretation": "monochrome2"}, {"PhotometricInterpretation": "MONOCHROME"},
        {"SamplesPerPixel": None}, {"SamplesPerPixel": ""},
    ],
)  # fmt: skip
def test_one_gray_value_a_pixel_is_no_colour_however_the_header_says_so(elements):
    assert np.array_equal(read(build_ct(**elements)).pixels, read(build_ct()).pixels)


def test_hu_are_clipped_at_minus_1024():
    pixels = np.full((64, 64), -3000, np.int16)
    assert (read(build_ct(pixels, RescaleIntercept=0), Window(-2000, 4000)).pixels == Window(-2000, 4000).air).all()


def test_the_window_is_the_models_the_asked_one_or_the_files_and_is_stated():
    body = build_ct(WindowCenter=[40, -600], WindowWidth=[400, 1500])
    cases = {None: (LUNG, "model window"), Window(50, 350): (Window(50, 350), "asked window")}
    for asked, (window, rule) in (cases | {"file": (Window(40, 400), "file window")}).items():
        found = read(body, asked)
        assert (found.window, found.rule) == (window, rule)
        assert np.array_equal(found.pixels, window.render(HU))


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"WindowCenter": 40},
        {"WindowCenter": 40, "WindowWidth": 0},
        {"WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "SIGMOID"},
    ],
)
def test_the_files_own_window_must_be_there_and_linear(elements):
    assert refusal(build_ct(**elements), "file").code == "bad_option"


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_files_without_preamble_and_meta_header_are_read(syntax):
    body = build_bare(syntax)
    assert body[128:132] != b"DICM"
    assert np.array_equal(read(body).pixels, LUNG.render(HU))


def test_a_preamble_that_looks_like_a_tiff_is_still_dicom():
    body = build_ct()
    found = read(b"II*\0" + body[4:])
    assert (found.format, found.pixels.tolist()) == ("DICOM", read(body).pixels.tolist())


def test_one_frame_of_many_is_chosen_or_the_middle_one_with_a_warning():
    stored = np.stack([(HU + 1024 + 10 * i).astype(np.uint16) for i in range(5)])
    for syntax in (uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLSLossless):
        body = build_ct(stored, syntax)
        for frame in (0, 4):
            found = read(body, frame=frame)
            assert np.array_equal(found.pixels, LUNG.render(HU + 10 * frame))
            assert found.warnings == ()
        middle = read(body)
        assert np.array_equal(middle.pixels, LUNG.render(HU + 20))
        assert "middle one, 2," in middle.warnings[0]
        assert refusal(body, None, 5).code == "bad_option"


def test_enhanced_ct_uses_the_groups_of_its_frame():
    body = build_enhanced()
    for frame, intercept in enumerate((-1024, -1000, -900)):
        hu = HU.astype(int) + 1024 + frame + intercept
        assert np.array_equal(read(body, frame=frame).pixels, LUNG.render(hu))
    assert read(body, "file", 0).window == Window(40, 400)


def test_a_png_rendered_from_a_dicom_equals_the_dicom():
    for window in (LUNG, Window(40, 400)):
        assert np.array_equal(read(build_ct(), window).pixels, read(encode(window.render(HU), "PNG")).pixels)


def turn(degrees: float) -> list[float]:
    """Image orientation of a slice whose plane is tilted about the patient's left-right axis."""
    return [1, 0, 0, 0, float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))]


def test_a_tilted_gantry_is_accepted_and_turned_patients_are_warned_of():
    assert read(build_ct(ImageOrientationPatient=turn(25))).warnings == ()
    assert "turned or mirrored" in read(build_ct(ImageOrientationPatient=[-1, 0, 0, 0, -1, 0])).warnings[0]
    assert "no orientation" in read(build_ct(ImageOrientationPatient=None)).warnings[0]
    assert "derived" in read(build_ct(ImageType=["DERIVED ", "SECONDARY"])).warnings[0]


def test_an_unnamed_unit_counts_as_hu_only_with_a_ct_intercept():
    assert "taken as HU" in read(build_ct(RescaleType="US")).warnings[0]
    assert refusal(build_ct(RescaleType="US", RescaleIntercept=0)).code == "unsupported_dicom"


COLOUR = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
REFUSED = {
    "an MR image": ({"SOPClassUID": uid.MRImageStorage, "Modality": "MR"}, "no CT image"),
    "a PET image with a CT class": ({"Modality": "PT"}, "no CT image"),
    "a CT modality in another class": ({"SOPClassUID": uid.UltrasoundImageStorage}, "no CT image"),
    "a secondary capture": ({"SOPClassUID": uid.SecondaryCaptureImageStorage}, "without HU"),
    "a localiser": ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localiser"),
    "a coronal slice": ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "not axial"),
    "a sagittal slice": ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "not axial"),
    "a steep slice": ({"ImageOrientationPatient": turn(45)}, "not axial"),
    "a derived image without HU": ({"ImageType": ["DERIVED"], "RescaleSlope": None}, "not HU"),
    "no intercept": ({"RescaleIntercept": None}, "not HU"),
    "another unit": ({"RescaleType": "OD"}, "not in HU"),
    "colours": (COLOUR, "colours"),
    "a palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "colours"),
    "odd bits": ({"BitsStored": 12, "HighBit": 15}, "layout"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_axial_ct_slice_is_refused_with_a_reason(name):
    elements, reason = REFUSED[name]
    error = refusal(build_ct(**elements))
    assert error.code == "unsupported_dicom"
    assert reason in error.message


def test_an_enhanced_localiser_is_refused():
    data = dcmread(io.BytesIO(build_enhanced()))
    data.SharedFunctionalGroupsSequence[0].CTImageFrameTypeSequence[0].FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    assert "localiser" in refusal(save(data)).message


def test_broken_headers_are_corrupt():
    for elements in (
        {"RescaleSlope": 0},
        {"RescaleIntercept": "1e300"},
        {"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]},
        {"ImageOrientationPatient": [1, 0, 0]},
        {"Rows": None},
        {"BitsAllocated": None},
        {"NumberOfFrames": -1},
    ):
        assert refusal(build_ct(**elements)).code == "corrupt_image", elements


def test_the_size_is_checked_before_pixels_are_decoded():
    assert refusal(build_ct(Rows=60000, Columns=60000)).code == "too_many_pixels"
    assert refusal(build_ct(), max_pixels=64 * 64 - 1).code == "too_many_pixels"


def test_no_message_repeats_a_value_of_the_file(caplog, capfd):
    bodies = [build_ct(**elements) for elements, _ in REFUSED.values()]
    for name in ("Modality", "PhotometricInterpretation", "RescaleType", "ImageType", "RescaleSlope", "SOPClassUID"):
        data = dcmread(io.BytesIO(build_ct()))
        data.add_new(name, "LO", PATIENT)
        bodies.append(save(data))
    bodies += [build_ct()[:cut] for cut in range(150, 900, 50)]
    refused = 0
    for body in bodies:
        assert PATIENT.encode() in body or len(body) < 900
        try:
            found = read(body)
            text = " ".join(found.warnings)
        except LungCTError as error:
            refused += 1
            text = error.message
        assert "PLANTED" not in text
    assert refused > 20
    out = capfd.readouterr()
    assert "PLANTED" not in out.out + out.err + caplog.text
