"""More bits than eight: never clipped, rendered by a window or by a stated rule."""

import numpy as np
import pytest
from PIL import TiffImagePlugin

from lungct.pixels import raster
from lungct.window import LUNG, Window
from tests.support.dicoms import HU, read, refusal
from tests.support.pictures import GRAY, encode, encode_deep_png, encode_tiff

ADDED = HU.astype(np.int32) + 1024
CODES = np.array([[200, 1000, 60000]], np.uint16)


@pytest.mark.parametrize("values", [CODES, CODES.astype(">u2")], ids=["little", "big"])
def test_sixteen_bits_are_never_clipped(values):
    for body in (encode_tiff(values, values.dtype.byteorder.replace("=", "<")), encode(CODES, "PNG")):
        found = read(body)
        assert found.pixels.tolist() == [[0, 3, 255]]
        assert (found.rule, found.window) == ("stretch", None)
        assert "stretched" in found.warnings[0]


DEEP = {
    "int16": (HU, "model window", "taken as HU,"),
    "int32": (HU.astype(np.int32), "model window", "taken as HU,"),
    "float32": (HU.astype(np.float32), "model window", "taken as HU,"),
    "uint16 with 1024 added": (ADDED.astype(np.uint16), "model window", "HU + 1024"),
    "int32 with 1024 added": (ADDED, "model window", "HU + 1024"),
    "gray in 16 bits": (GRAY.astype(np.uint16), "as is", "finished gray levels."),
    "gray times 257": (GRAY.astype(np.uint16) * 257, "as is", "times 257"),
    "anything else": (GRAY.astype(np.uint16) * 200, "stretch", "stretched"),
    "unsigned 32 bits": (GRAY.astype(np.uint32) * 2**24, "stretch", "stretched"),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("name", DEEP)
def test_more_than_eight_bits_follow_the_stated_rule(name, order):
    values, rule, sentence = DEEP[name]
    if order == ">" and values.dtype == np.uint32:
        assert refusal(encode_tiff(values, order)).code == "corrupt_image"  # Pillow does not read it
        return
    found = read(encode_tiff(values, order))
    assert found.rule == rule
    assert sentence in found.warnings[0]
    assert len(found.warnings) == 1
    stretched = (GRAY - float(GRAY.min())) * (255 / (int(GRAY.max()) - int(GRAY.min())))
    expected = {"model window": LUNG.render(HU), "as is": GRAY, "stretch": np.floor(stretched + 0.5)}
    assert np.array_equal(found.pixels, expected[rule])
    assert found.window == (LUNG if rule == "model window" else None)


def test_an_asked_window_makes_values_hu():
    for values in (HU, HU.astype(np.float32)):
        found = read(encode_tiff(values), Window(40, 400))
        assert np.array_equal(found.pixels, Window(40, 400).render(HU))
        assert (found.window, found.rule) == (Window(40, 400), "asked window")
        assert "taken as HU" in found.warnings[0]
    assert read(encode(CODES, "PNG"), Window(1000, 2000)).pixels.tolist() == [[26, 128, 255]]


def test_a_window_for_finished_gray_levels_is_a_bad_option():
    for asked in (Window(40, 400), "file"):
        assert refusal(encode(GRAY, "PNG"), asked).code == "bad_option"
        assert refusal(encode(GRAY, "BMP"), asked).code == "bad_option"


def test_white_is_zero_inverts_gray_but_not_hu():
    assert np.array_equal(read(encode_tiff(GRAY, photometric=0)).pixels, 255 - GRAY)
    deep = GRAY.astype(np.uint16)
    assert np.array_equal(read(encode_tiff(deep * 257, photometric=0)).pixels, 255 - GRAY)
    assert np.array_equal(read(encode_tiff(HU.astype(np.float32), photometric=0)).pixels, LUNG.render(HU))


def test_values_that_are_no_numbers_are_refused():
    for bad in (np.nan, np.inf, -np.inf):
        values = HU.astype(np.float32)
        values[3, 3] = bad
        assert refusal(encode_tiff(values)).code == "corrupt_image"


def test_signed_bytes_are_refused_instead_of_wrapped():
    assert refusal(encode_tiff(np.array([[-100, 5]], np.int8))).code == "unsupported_format"


def test_sixteen_bit_colours_are_declared():
    found = read(encode_deep_png(np.stack([GRAY.astype(np.uint16) * 256 + 77] * 3, axis=2)))
    assert np.array_equal(found.pixels, GRAY)
    assert "upper 8" in found.warnings[0]


def test_the_rule_for_an_offset_needs_air_and_soft_tissue():
    assert raster.has_offset(ADDED)
    assert not raster.has_offset(ADDED + 500)
    assert not raster.has_offset(np.full((9, 9), 1024))
    assert not raster.has_offset(ADDED * 3)


IMAGEJ = "ImageJ=1.54f\nunit=mm\ncf={}\nc0={}\nc1={}\nvunit=Gray Value\nmin=0.0\n"


def write_imagej(values, *calibration):
    """A TIFF of 16 bits as ImageJ writes it, with what its calibration makes of the values."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = IMAGEJ.format(*calibration)
    return encode(values.astype(np.uint16), "TIFF", tiffinfo=tags)


@pytest.mark.parametrize("window", [None, Window(40, 400)])
@pytest.mark.parametrize(
    "body",
    [
        write_imagej(HU.astype(np.int64) + 32768, 0, "-32768.0", "1.0"),
        write_imagej(HU.astype(np.int64) + 1024, 0, "-1024.0", "1.0"),
        write_imagej((HU.astype(np.int64) + 2000) * 10, 0, "-2000", "1.0E-1"),
    ],
    ids=["signed", "unsigned", "scaled"],
)
def test_values_that_imagej_calibrated_are_hu_with_and_without_a_window(body, window):
    found = read(body, window)
    assert (found.pixels == (window or LUNG).render(HU)).all()


@pytest.mark.parametrize("calibration", [(20, "1", "1"), (0, "1.1.1", "1"), (0, "-1024", "0"), (0, "-1e9", "1")])
def test_a_calibration_that_is_no_line_leaves_values_as_they_are(calibration):
    plain = encode((HU + 1024).astype(np.uint16), "TIFF")
    assert (read(write_imagej(HU + 1024, *calibration)).pixels == read(plain).pixels).all()
