"""Gray levels by table are those of the arithmetic, for every value that 8 or 16 bits can hold; padding is air."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread, uid

from lungct.pixels.hounsfield import Scale, to_gray, to_hu
from lungct.window import LUNG, Window
from tests.support.dicoms import HU, build_ct, read, save, transcode

WINDOWS = st.builds(Window, st.integers(-1200, 600), st.floats(1, 4000))
NUMBERS = st.integers(-(2**15), 2**16 - 1)  # as files state padding, signed or not


@st.composite
def scales(draw, most):
    padding = draw(st.lists(NUMBERS, max_size=2))
    slope, intercept = draw(st.floats(0.01, 20)), draw(st.floats(-2000, 2000))
    return Scale(draw(st.integers(1, most)), slope, intercept, tuple(padding))


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2"])
@given(data=st.data(), window=WINDOWS)
def test_every_value_gets_the_gray_level_that_the_arithmetic_gives_it(kind, data, window):
    bits = 8 * np.dtype(kind).itemsize
    every = np.arange(2**bits, dtype=f"u{bits // 8}").view(kind).reshape(16, -1)
    scale = data.draw(scales(bits))
    found = to_gray(every, scale, window)
    assert (found.dtype, found.shape) == (np.uint8, every.shape)
    assert np.array_equal(found, window.render(to_hu(every, scale)))


def test_values_of_32_bits_are_computed_each():
    values = np.array([[-1024, 0], [70_000, 2**31 - 1]], np.int32)
    assert to_gray(values, Scale(32, 1.0, 0.0), LUNG).tolist() == LUNG.render(values).tolist()


def test_two_scales_of_one_series_do_not_share_a_table():
    raw = np.array([[524]], np.uint16)
    found = [int(to_gray(raw, Scale(12, 1.0, intercept), LUNG)[0, 0]) for intercept in (-1024.0, -524.0, -1024.0)]
    assert found == [int(LUNG.render(np.array([[hu]]))[0, 0]) for hu in (-500, 0, -500)]


@pytest.mark.parametrize(
    ("pixels", "padding", "elements"),
    [
        (np.where(HU < -950, -2000, HU).astype(np.int16), 63536, {}),  # an unsigned number in a signed image
        (np.where(HU < -950, 3000, HU).astype(np.int16), 3000, {}),
        (np.where(HU < -950, 4000, HU + 1024).astype(np.uint16), 4000, {}),
        # Padding in bits that are not in use: masking first would make it a bright 2096.
        (np.where(HU < -950, 63536, HU + 1024).astype(np.uint16), 63536, {"BitsStored": 12, "HighBit": 11}),
        (np.where(HU < -950, 0x0830, HU & 0x0FFF).astype(np.int16), 63536, {"BitsStored": 12, "HighBit": 11}),
        (np.where(HU < -950, -2000, HU).astype(np.int16), 0x0830, {"BitsStored": 12, "HighBit": 11}),
        (np.where(HU < -950, 3500, HU).astype(np.int16), 3400, {"PixelPaddingRangeLimit": 3600}),
        (np.where(HU < -950, -1900, HU).astype(np.int16), 63536, {"PixelPaddingRangeLimit": 64036}),
    ],
    ids=[
        "unsigned in signed",
        "signed",
        "unsigned",
        "unused bits",
        "sign not extended",
        "padding without its sign",
        "range",
        "range in signed",
    ],
)
def test_padding_becomes_air(pixels, padding, elements):
    signed = pixels.dtype.kind == "i"
    body = build_ct(pixels, RescaleIntercept=0 if signed else -1024)
    data = dcmread(io.BytesIO(body))
    kind = "US" if max(padding, *elements.values(), 0) > 32767 or not signed else "SS"
    data.add_new("PixelPaddingValue", kind, padding)
    if "PixelPaddingRangeLimit" in elements:
        data.add_new("PixelPaddingRangeLimit", kind, elements["PixelPaddingRangeLimit"])
    data.BitsStored, data.HighBit = elements.get("BitsStored", 16), elements.get("HighBit", 15)
    found, padded = read(save(data)).pixels, HU < -950
    assert padded.any()
    assert not padded.all()
    assert (found[padded] == LUNG.air).all()
    assert np.array_equal(found[~padded], LUNG.render(HU)[~padded])


@pytest.mark.data
def test_padding_of_a_real_series_is_air(data):
    bodies = [path.read_bytes() for path in sorted((data / "dicom" / "lidc_0001").glob("*.dcm"))]
    assert bodies
    for body in bodies:
        found = read(body)
        assert found.warnings == ()
        assert found.pixels[0, 0] == LUNG.air  # a corner, outside the field of view
        transcoded = read(transcode(body, uid.JPEGLosslessSV1))
        assert np.array_equal(transcoded.pixels, found.pixels)
