"""Compressed files of one frame whose header is read without pydicom, and what comes out is what pydicom gives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid

from lungct.errors import LungCTError
from lungct.pixels import dicom
from lungct.pixels.header import FAULTS
from lungct.pixels.pixeldata import SYNTAXES
from lungct.pixels.rendering import Terms
from lungct.settings import Settings
from lungct.window import LUNG, Window
from tests.support.dicoms import build_ct, build_enhanced, build_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, for damaged files
USUAL = Terms(None, None, LUNG, Settings())
ASKED = (USUAL, USUAL._replace(window="file"), USUAL._replace(window=Window(40, 400), frame=0))
COMPRESSED = [syntax for syntax in SYNTAXES.values() if syntax.plugin]
END = b"\xfe\xff\xdd\xe0\0\0\0\0"  # of a sequence of fragments


def assert_same(body, terms):
    """Both ways give one slice; they may refuse it alike."""
    only, usual = dicom.find_only_frame(body, terms), dicom.find_any_frame(body, terms)
    assert only[:2] == usual[:2]
    try:
        values = usual.decode()
    except Exception as error:  # noqa: BLE001 - whatever pydicom and its codecs raise of damaged streams
        with pytest.raises(type(error)):
            only.decode()
    else:
        assert np.array_equal(only.decode(), values)
        assert only.decode().dtype == values.dtype


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda syntax: syntax.name)
def test_a_compressed_file_is_read_as_pydicom_reads_it(syntax):
    body, _ = build_of(syntax.uid)
    assert_same(body, USUAL)
    assert ("lossy" in " ".join(dicom.render(body, USUAL).warnings)) == syntax.lossy


def test_a_window_of_the_file_or_of_the_caller_is_the_one_that_pydicoms_reader_takes():
    body = build_ct(syntax=uid.RLELossless, WindowCenter="-500.5", WindowWidth="1501", PixelPaddingValue=0)
    for terms in ASKED:
        assert_same(body, terms)


RLE = build_ct(syntax=uid.RLELossless)
LAST = RLE.rindex(b"\xfe\xff\0\xe0")  # fragment
ODD = {
    "several frames": build_ct(np.zeros((2, 64, 64), np.uint16), syntax=uid.RLELossless),
    "an enhanced image": build_enhanced(),
    "an uncompressed one": build_ct(),
    "no end of the fragments": RLE.removesuffix(END),
    "something behind them": RLE + b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0\0\0",
    "a fragment of unstated length": RLE[: LAST + 4] + b"\xff\xff\xff\xff" + RLE[LAST + 8 :],
    "a length of the whole": RLE.replace(b"OB\0\0\xff\xff\xff\xff", b"OB\0\0\x10\0\0\0"),
    "an unknown syntax": RLE.replace(b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.6\0"),
    "what is refused": build_ct(syntax=uid.RLELossless, RescaleSlope=None),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_out_of_the_ordinary_is_left_to_pydicom(name):
    with pytest.raises(FAULTS):
        dicom.find_only_frame(ODD[name], USUAL)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(RLE) - 1), st.binary(min_size=1, max_size=4)), max_size=4))
def test_a_damaged_file_gives_what_pydicom_gives_or_is_left_to_it(changes):
    body = bytearray(RLE)
    for at, patch in changes:
        body[at : at + len(patch)] = patch
    try:
        dicom.find_only_frame(bytes(body), USUAL)
    except FAULTS:
        return
    try:
        assert_same(bytes(body), USUAL)
    except LungCTError as error:
        raise AssertionError(f"pydicom's reader refuses this: {error.message}") from error
