"""Pictures of heatmaps hold what was drawn, and say what they are for."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from lungct import NOTICE
from lungct.heatmap import encode

SIDES = st.integers(1, 40)
PICTURES = st.one_of(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES, st.just(3))).flatmap(
    lambda shape: arrays(np.uint8, shape)
)


@given(picture=PICTURES)
def test_a_png_is_lossless_for_every_reader_and_carries_the_notice(picture):
    data = encode(picture, "png")
    assert np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED), picture)
    with Image.open(io.BytesIO(data)) as read:
        assert np.array_equal(np.asarray(read), picture[..., ::-1] if picture.ndim == 3 else picture)
        assert read.text == {"Disclaimer": NOTICE}
    with Image.open(io.BytesIO(data)) as read:
        read.verify()  # its checksums


@pytest.mark.parametrize("shape", [(64, 48), (64, 48, 3)])
def test_a_jpeg_is_near_what_was_drawn_and_carries_the_notice(shape):
    picture = np.fromfunction(lambda y, x, *_: 2 * (y + x), shape).astype(np.uint8)
    with Image.open(io.BytesIO(encode(picture, "jpeg"))) as read:
        assert read.info["comment"] == NOTICE.encode()
        seen = np.asarray(read).astype(int)
    assert np.abs(seen - (picture[..., ::-1] if picture.ndim == 3 else picture)).max() < 12
