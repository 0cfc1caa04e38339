"""Properties of decoding: what goes in comes out, and what is broken is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pydicom import uid

from lungct.errors import LungCTError
from lungct.pixels.image import Slice
from lungct.pixels.raster import interpret
from lungct.window import LUNG, Window
from tests.support.dicoms import LOSSLESS, PATIENT, build_ct, build_enhanced, read
from tests.support.pictures import GRAY, encode, encode_tiff

FEW = settings(max_examples=40, deadline=None)
MANY = settings(max_examples=300, deadline=None)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)
WINDOWS = st.builds(Window, st.integers(-1500, 1500), st.integers(1, 4000))
# The encoders of the others, which only tests use, refuse images of a few pixels and noise.
SYNTAXES = [s for s in LOSSLESS if not s.is_encapsulated or s == uid.RLELossless]
MAGIC = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08",
    b"BM" + bytes(12) + b"\x28\0\0\0",
    b"RIFF\x40\0\0\0WEBPVP8L", bytes(128) + b"DICM\x02\0\0\0UL\x04\0", b"\x08\0\x05\0CS\x0a\0ISO_IR 100", b"",
)  # fmt: skip
GOOD = (
    build_ct(),
    build_ct(syntax=uid.ImplicitVRLittleEndian),
    build_ct(syntax=uid.RLELossless),
    build_ct(syntax=uid.JPEGLSLossless),
    build_ct(syntax=uid.JPEG2000Lossless),
    build_enhanced(),
    *(encode(GRAY, kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP")),
    encode_tiff(GRAY.astype(np.float32)),
)


def assert_read_or_refused(body: bytes, *options: object) -> None:
    """A Slice or a LungCTError whose sentence repeats nothing of the file."""
    try:
        found = read(body, *options)
    except LungCTError as error:
        assert error.status < 500
        text = error.message
    else:
        assert isinstance(found, Slice)
        text = " ".join(found.warnings)
    assert text.isascii()
    assert "PLANTED" not in text


@FEW
@given(hnp.arrays(np.uint8, SHAPES), st.sampled_from(["PNG", "TIFF", "BMP"]))
def test_gray_levels_survive_lossless_formats(pixels, kind):
    found = read(encode(pixels, kind))
    assert np.array_equal(found.pixels, pixels)
    assert (found.rule, found.warnings) == ("as is", ())


@FEW
@given(hnp.arrays(np.uint8, (9, 7, 3)))
def test_luma_is_pillows(colours):
    assert np.array_equal(read(encode(colours, "PNG")).pixels, np.asarray(Image.fromarray(colours).convert("L")))


@FEW
@given(hnp.arrays(np.int16, SHAPES), WINDOWS, st.sampled_from(SYNTAXES))
def test_hu_survive_every_syntax_at_every_window(hu, window, syntax):
    found = read(build_ct(hu, syntax, RescaleIntercept=0), window)
    assert np.array_equal(found.pixels, window.render(hu))


@FEW
@given(hnp.arrays(np.uint16, SHAPES), st.integers(1, 16), st.integers(-2000, 100), WINDOWS)
def test_stored_bits_slope_and_intercept_give_hu(stored, bits, intercept, window):
    found = read(
        build_ct(stored, BitsStored=bits, HighBit=bits - 1, RescaleSlope=2, RescaleIntercept=intercept), window
    )
    hu = (stored & (2**bits - 1)).astype(np.int64) * 2 + intercept
    assert np.array_equal(found.pixels, window.render(hu))


@FEW
@given(hnp.arrays(np.uint16, SHAPES), st.sampled_from("<>"))
def test_more_bits_keep_their_order_and_use_no_value_twice_at_the_ends(values, order):
    found = read(encode_tiff(values, order))
    sorted_by_value = found.pixels.ravel()[np.argsort(values, axis=None, kind="stable")].astype(int)
    assert (np.diff(sorted_by_value) >= 0).all()
    assert found.warnings
    if found.rule == "stretch" and values.max() > values.min():
        assert (found.pixels.min(), found.pixels.max()) == (0, 255)


@FEW
@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(-(2**15), 2**15, width=32)))
def test_the_default_rule_states_what_it_did_to_any_values(values):
    found = interpret(values, LUNG)
    assert len(found.warnings) == 1
    assert (found.window is None) == (found.rule == "stretch")


@pytest.mark.parametrize("magic", MAGIC)
def test_junk_behind_any_signature_is_read_or_refused(magic):
    @FEW
    @given(st.binary(max_size=400), st.sampled_from([None, "file", Window(40, 400)]), st.sampled_from([None, 0, 3]))
    def check(junk, window, frame):
        assert_read_or_refused(magic + junk, window, frame)

    check()


@MANY
@given(st.sampled_from(GOOD), st.data())
def test_changed_and_cut_files_are_read_or_refused_without_repeating_them(body, data):
    changed = bytearray(body)
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, min(len(changed), 1200) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(changed)), st.integers(0, len(changed))))
    assert_read_or_refused(bytes(changed[:end]))


@FEW
@given(st.text(st.characters(codec="ascii", exclude_characters="\0\\"), max_size=12), st.sampled_from(
    ["Modality", "ImageType", "PhotometricInterpretation", "RescaleType", "VOILUTFunction", "LossyImageCompression"]
))  # fmt: skip
def test_no_text_of_a_header_reaches_a_message(text, keyword):
    assert_read_or_refused(build_ct(**{keyword: f"{PATIENT}{text}"[:60]}), "file")


def test_the_bodies_above_are_good():
    for body in GOOD:
        assert read(body).pixels.shape == GRAY.shape
    assert PATIENT.encode() in GOOD[0]
