"""Every transfer syntax gives the values that were stored, or nothing."""

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, uid

from lungct.pixels import dicom
from lungct.pixels.pixeldata import SYNTAXES, find_syntax
from lungct.window import LUNG
from tests.support.dicoms import (
    CODESTREAMS,
    HU,
    LOSSLESS,
    build_bomb,
    build_ct,
    build_encapsulated,
    build_of,
    describe_ct,
    draw_bowl,
    read,
    refusal,
    save,
)

# Largest error in HU of each lossy file that `build_of` makes: a bound of the encoder's setting, not of our decoding.
LOSSY_HU = {
    uid.JPEGBaseline8Bit: 32,  # quality 95 at a slope of 4 HU a level
    uid.JPEGExtended12Bit: 15,
    uid.JPEGLSNearLossless: 2,  # NEAR is 2
    uid.JPEG2000: 4,  # 100 dB of 16 bits
    uid.HTJ2K: 4,
}
SIGNED = HU.astype(np.int16)


def read_hu(body: bytes) -> np.ndarray:
    """HU of the first frame, in this process."""
    data = dcmread(io.BytesIO(body), force=True)
    return dicom.read_hu(data, find_syntax(data), 0, float(data.RescaleSlope), float(data.RescaleIntercept))


def test_every_syntax_we_list_is_lossless_or_has_a_stated_bound():
    assert {s.uid for s in SYNTAXES.values() if s.lossy} == set(LOSSY_HU)


@pytest.mark.parametrize("syntax", [s for s in SYNTAXES.values() if not s.lossy], ids=lambda s: s.name)
def test_lossless_syntaxes_give_the_pixels_of_the_original(syntax):
    body, hu = build_of(syntax.uid)
    assert np.array_equal(read_hu(body), hu)
    found = read(body)
    assert np.array_equal(found.pixels, LUNG.render(hu))
    assert (found.format, found.window, found.rule, found.warnings) == ("DICOM", LUNG, "model window", ())


@pytest.mark.parametrize("syntax", [s for s in SYNTAXES.values() if s.lossy], ids=lambda s: s.name)
def test_lossy_syntaxes_stay_within_their_bound_and_warn(syntax):
    body, hu = build_of(syntax.uid)
    error = np.abs(read_hu(body) - hu).max()
    assert 0 < error <= LOSSY_HU[syntax.uid]
    assert read(body).warnings == ("The pixels were compressed by a lossy method.",)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.name)
def test_signed_values_keep_their_sign_in_every_syntax(syntax):
    assert SIGNED.min() < 0
    assert np.array_equal(read_hu(build_ct(SIGNED, syntax, RescaleIntercept=0)), HU)


def test_twelve_bit_jpeg_equals_libjpeg_turbo():
    turbo = np.asarray(Image.open(CODESTREAMS / "jpeg_12bit.png")).astype(int)
    assert np.abs(turbo - draw_bowl()).max() > 0  # it is lossy, so equal pixels mean the same decoding
    assert np.array_equal(read_hu(build_of(uid.JPEGExtended12Bit)[0]), turbo - 1024)


def test_overlays_in_unused_bits_are_dropped():
    stored = (HU + 1024).clip(0, 4095).astype(np.uint16)
    overlaid = stored | np.uint16(0xF000)
    found = read(build_ct(overlaid, BitsStored=12, HighBit=11))
    assert np.array_equal(found.pixels, LUNG.render(stored.astype(int) - 1024))


def test_missing_and_cut_pixels_are_refused():
    data = describe_ct((HU + 1024).astype(np.uint16))
    data.PixelData = data.PixelData[:-2]
    assert refusal(save(data)).code == "corrupt_image"
    del data.PixelData
    assert "no pixel data" in refusal(save(data)).message
    for syntax in (*LOSSLESS, uid.JPEG2000, uid.JPEGLSNearLossless):
        body = build_ct(syntax=syntax)
        assert refusal(body[: len(body) * 2 // 3]).code in ("corrupt_image", "unsupported_dicom"), syntax.name


def test_a_codestream_of_another_size_than_the_header_is_refused():
    bowl = draw_bowl()
    for syntax, name in ((uid.HTJ2KLossless, "htj2k_lossless.j2c"), (uid.JPEGExtended12Bit, "jpeg_12bit.jpg")):
        codestream = (CODESTREAMS / name).read_bytes()
        for wrong in (np.zeros((200, 200), np.uint16), bowl[:16, :16].copy()):
            error = refusal(build_encapsulated(codestream, wrong, syntax, BitsStored=12, HighBit=11))
            assert error.code == "corrupt_image"


def test_an_unknown_syntax_is_refused_by_the_name_of_the_missing_decoder():
    for given, name in (("1.2.840.10008.1.2.4.102", "MPEG-4"), ("1.2.840.10008.1.2.4.999", "private or unknown")):
        film = build_encapsulated(b"film", (HU + 1024).astype(np.uint16), "1.2.840.10008.1.2.4.102")
        error = refusal(film.replace(b"1.2.840.10008.1.2.4.102", given.encode()))
        assert error.code == "unsupported_dicom"
        assert name in error.message
        assert given not in error.message


def test_a_deflated_bomb_is_refused_by_the_clock_or_the_memory_ceiling():
    mild = build_bomb(2**20)
    assert np.array_equal(read(mild).pixels, np.full((512, 512), LUNG.air))  # the file is right but for its size
    body = build_bomb(1500 * 2**20)
    assert len(body) < 2 * 2**20
    assert refusal(body).code in ("too_many_bytes", "corrupt_image")
