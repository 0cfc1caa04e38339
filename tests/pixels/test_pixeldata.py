"""Every transfer syntax gives the values that were stored, or nothing."""

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder

from lungct.pixels.hounsfield import read_scale, to_hu
from lungct.pixels.pixeldata import SYNTAXES, find_frame, find_syntax, read_frame
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
END = b"\xff\xd9"  # of every stream but RLE's
ENCAPSULATED = [s for s in SYNTAXES.values() if s.plugin and s.uid != uid.RLELossless]


def read_hu(body: bytes) -> np.ndarray:
    """HU of the first frame, in this process."""
    data = dcmread(io.BytesIO(body), force=True)
    scale = read_scale(data, float(data.RescaleSlope), float(data.RescaleIntercept))
    return to_hu(read_frame(data, find_syntax(data), 0), scale)


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


NOISE = np.random.default_rng(0).integers(0, 2**16, (64, 65))


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [uid.JPEGLSLossless, uid.JPEGLSNearLossless], ids=lambda syntax: syntax.name)
def test_gdcm_decodes_jpeg_ls_as_pyjpegls_does(syntax, signed, bits):
    """Pythons without pyjpegls have GDCM in its place: the same values, so the same error near-lossless."""
    kind = np.dtype(f"{'i' if signed else 'u'}{1 if bits == 8 else 2}")
    inside = (NOISE >> (16 - bits)).clip(2, 2**bits - 3)  # at the ends an error of 2 changes the sign
    stored = (inside - (2 ** (bits - 1) if signed else 0)).astype(kind)
    data = dcmread(io.BytesIO(build_ct(stored, syntax, BitsStored=bits, HighBit=bits - 1)))
    found = [
        get_decoder(syntax).as_array(data, index=0, raw=True, decoding_plugin=plugin, correct_unused_bits=False)[0]
        for plugin in ("pyjpegls", "gdcm")
    ]
    assert found[0].dtype == found[1].dtype == kind
    assert np.array_equal(*found)
    assert np.abs(found[1].astype(int) - stored).max() == LOSSY_HU.get(syntax, 0)


def test_twelve_bit_jpeg_equals_libjpeg_turbo():
    turbo = np.asarray(Image.open(CODESTREAMS / "jpeg_12bit.png")).astype(int)
    assert np.abs(turbo - draw_bowl()).max() > 0  # it is lossy, so equal pixels mean the same decoding
    assert np.array_equal(read_hu(build_of(uid.JPEGExtended12Bit)[0]), turbo - 1024)


STORED = HU.clip(-1024, 1023)  # fits 12 bits, with and without a sign
ABOVE = {  # what stands above the 12 bits that count
    "the sign": lambda values: values,
    "nothing": lambda values: values & 0x0FFF,
    "an overlay": lambda values: (values & 0x0FFF) | np.where(np.indices(values.shape).sum(0) % 3, 0x1000, 0x9000),
}


@pytest.mark.parametrize("above", ABOVE)
@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.name)
def test_bits_above_those_that_are_stored_mean_nothing_in_any_syntax(syntax, signed, above):
    """Coded with all 16 bits, of which the header says that 12 count (PS3.5 8.1.1)."""
    values = STORED if signed else STORED + 1024
    coded = (ABOVE[above](values.astype(np.int64)) & 0xFFFF).astype(np.uint16).view(np.int16 if signed else np.uint16)
    intercept = 0 if signed else -1024
    data = dcmread(io.BytesIO(build_ct(coded, syntax, RescaleIntercept=intercept)))
    data.BitsStored, data.HighBit = 12, 11
    assert np.array_equal(read_hu(save(data)), STORED)


@pytest.mark.parametrize("signed", [True, False], ids=["signed", "unsigned"])
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda s: s.name)
def test_values_coded_with_the_bits_that_are_stored_are_read_in_every_syntax(syntax, signed):
    coded = STORED.astype(np.int16) if signed else (STORED + 1024).astype(np.uint16)
    body = build_ct(coded, syntax, BitsStored=12, HighBit=11, RescaleIntercept=0 if signed else -1024)
    assert np.array_equal(read_hu(body), STORED)


@pytest.mark.parametrize("zeros", [1, 2, 4])
@pytest.mark.parametrize("syntax", ENCAPSULATED, ids=lambda s: s.name)
def test_zero_bytes_before_the_end_marker_of_a_stream_are_no_damage(syntax, zeros):
    data = dcmread(io.BytesIO(build_of(syntax.uid)[0]))
    expected = read(save(data))
    stream = find_frame(data.PixelData, 0, 1).rstrip(b"\0")
    assert stream.endswith(END)
    data.PixelData = encapsulate([stream.removesuffix(END) + bytes(zeros) + END])
    assert np.array_equal(read(save(data)).pixels, expected.pixels)


def test_zero_bytes_at_the_end_of_a_jpeg_ls_stream_may_be_pixels():
    """Whatever the last rows hold, nothing is taken away that the decoder needs."""
    for level in range(64):
        flat = np.full((64, 64), level * 61, np.uint16)
        flat[-1, -3:] = level
        body = build_ct(flat, uid.JPEGLSLossless)
        assert np.array_equal(read_hu(body), flat.astype(int) - 1024)


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
