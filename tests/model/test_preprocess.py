import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lungct.model.preprocess import normalize, place, to_input


def noise(rows, columns, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, columns), dtype=np.uint8)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 700), columns=st.integers(1, 700))
def test_squashing_is_bit_equal_to_pillow(rows, columns):
    pixels = noise(rows, columns)
    expected = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.Resampling.BILINEAR))
    assert np.array_equal(to_input(pixels, 224, "squash", 38)[0], expected)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 700), columns=st.integers(1, 700))
def test_padding_centres_the_slice_on_a_square_of_air(rows, columns):
    pixels = noise(rows, columns)
    side = max(rows, columns)
    canvas = Image.new("L", (side, side), 38)
    canvas.paste(Image.fromarray(pixels), ((side - columns) // 2, (side - rows) // 2))
    expected = np.asarray(canvas.resize((224, 224), Image.Resampling.BILINEAR))
    assert np.array_equal(to_input(pixels, 224, "pad", 38)[0], expected)


def test_padding_keeps_a_circle_round_where_squashing_flattens_it():
    rows, columns = np.mgrid[:200, :400]
    disc = np.where(np.hypot(rows - 100, columns - 200) < 80, 255, 0).astype(np.uint8)

    def extent(picture):
        lit = np.argwhere(picture > 127)
        return np.ptp(lit, axis=0) + 1

    tall, wide = extent(to_input(disc, 224, "pad", 0)[0])
    assert abs(tall - wide) <= 1
    tall, wide = extent(to_input(disc, 224, "squash", 0)[0])
    assert tall > 1.8 * wide


def test_place_says_where_the_slice_lies_on_the_canvas():
    assert place(100, 300, "pad") == (100, 0, 100, 300, 300, 300)
    assert place(100, 300, "squash") == (0, 0, 100, 300, 100, 300)


def test_normalize_gives_three_equal_channels_between_minus_one_and_one():
    batch = normalize(torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 1, 1, 3))
    assert batch.shape == (1, 3, 1, 3)
    for channel in batch[0]:
        assert torch.allclose(channel, torch.tensor([[-1.0, -0.6, 1.0]]))


def test_pixels_that_are_not_square_lie_on_a_canvas_that_is_square_in_the_patient():
    assert place(230, 256, "pad", 256 / 230) == (0, 0, 230, 256, 230, 256)
    assert place(100, 100, "pad", 2) == (0, 50, 100, 100, 100, 200)
    assert place(100, 100, "pad", 0.5) == (50, 0, 100, 100, 200, 100)
    assert place(100, 300, "squash", 2) == place(100, 300, "squash")


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(40, 500), columns=st.integers(40, 500), aspect=st.floats(0.5, 2))
def test_a_disc_in_the_patient_is_a_disc_to_the_network_whatever_its_pixels(rows, columns, aspect):
    down, across = np.mgrid[:rows, :columns]
    radius = 0.4 * min(rows * aspect, columns)
    distance = np.hypot((down - (rows - 1) / 2) * aspect, across - (columns - 1) / 2)
    disc = np.where(distance < radius, 255, 0).astype(np.uint8)
    lit = np.argwhere(to_input(disc, 224, "pad", 0, aspect)[0] > 127)
    expected = 2 * radius * 224 / max(rows * aspect, columns)
    blur = 2 + 2 * 224 / min(rows, columns)  # a pixel of the slice, and one of the network's
    assert np.ptp(lit, axis=0) + 1 == pytest.approx([expected, expected], abs=blur)
