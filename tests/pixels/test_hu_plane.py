"""The HU of a DICOM slice before any window, for who looks at it."""

import numpy as np
import pytest
from pydicom import uid

from lungct.errors import LungCTError
from lungct.pixels.image import read_plane
from lungct.settings import Settings
from lungct.window import AIR_HU, LUNG
from tests.support.dicoms import HU, build_ct, read
from tests.support.pictures import GRAY, encode

SYNTAXES = (uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.JPEGLosslessSV1)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=[syntax.name for syntax in SYNTAXES])
def test_a_plane_is_the_hu_that_the_server_renders(syntax):
    body = build_ct(syntax=syntax, PixelSpacing=[2, 1])
    plane = read_plane(body, Settings())
    assert plane.hu.dtype == np.int16
    assert np.array_equal(plane.hu, HU)
    assert np.array_equal(LUNG.render(plane.hu), read(body).pixels)
    assert plane.aspect == read(body).aspect == 2


def test_padding_is_air_fractions_are_rounded_and_the_rest_fits_into_16_bits():
    stored = np.array([[0, 1, 2], [3, 40000, 65535]], np.uint16)
    body = build_ct(stored, PixelPaddingValue=0, RescaleSlope="1.5", RescaleIntercept="-1000")
    expected = [[AIR_HU, -998, -997], [-996, 32767, 32767]]
    assert read_plane(body, Settings()).hu.tolist() == expected


def test_pictures_have_no_hu_and_what_is_refused_is_refused_alike():
    assert read_plane(encode(GRAY, "PNG"), Settings()) is None
    assert read_plane(build_ct(), Settings(max_bytes=100)) is None
    for body in (build_ct()[:-100], build_ct(Modality="MR")):
        with pytest.raises(LungCTError) as caught:
            read_plane(body, Settings())
        with pytest.raises(LungCTError) as usual:
            read(body)
        assert caught.value.code == usual.value.code
