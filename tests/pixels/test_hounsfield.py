"""Gray levels by table are those of the arithmetic, for every value that 8 or 16 bits can hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungct.pixels.hounsfield import Scale, to_gray, to_hu
from lungct.window import LUNG, Window

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
