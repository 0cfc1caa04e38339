"""Plain DICOM files are read without pydicom, and what comes out is what pydicom gives."""

from struct import pack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset

from lungct.errors import LungCTError
from lungct.pixels import dicom, plain
from lungct.pixels.header import read_header
from lungct.pixels.rendering import Terms
from lungct.pixels.walk import MOST_ELEMENTS
from lungct.settings import Settings
from lungct.window import LUNG, Window
from tests.support.dicoms import HU, LOSSLESS, build_bare, build_bomb, build_ct, build_enhanced, describe_ct, read, save
from tests.support.imports import check_unloaded

PLAIN = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian)
USUAL = Terms(None, None, LUNG, Settings())
ASKED = (USUAL, USUAL._replace(window="file"), USUAL._replace(window=Window(40, 400), frame=0))
SIGNED = HU.astype(np.int16)
TWELVE = {"BitsStored": 12, "HighBit": 11}
VARIANTS = {
    "unsigned": {},
    "signed": {"pixels": SIGNED, "RescaleIntercept": 0},
    "8 bits": {"pixels": (HU // 16 + 64).astype(np.uint8)[:63, :63], "RescaleSlope": 16},
    "12 bits with an overlay above": {"pixels": (HU + 1024).astype(np.uint16) | 0x8000, **TWELVE},
    "12 bits without their sign": {"pixels": SIGNED & 0xFFF, "RescaleIntercept": "0", **TWELVE},
    "padding": {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 40},
    "signed padding": {"pixels": SIGNED, "PixelPaddingValue": -1024, "RescaleIntercept": -10},
    "a window": {"WindowCenter": ["-600", "40"], "WindowWidth": ["1200", "400"], "VOILUTFunction": "LINEAR"},
    "a fraction": {"RescaleSlope": "0.5E+00", "RescaleIntercept": "-1024.0 "},
    "oblong pixels": {"PixelSpacing": ["0.7", "0.5"]},
    "numbers that begin with their point": {"PixelSpacing": [".703125", "+.7"], "RescaleIntercept": "-.5E3"},
    "oblong pixels without a size": {"PixelAspectRatio": ["4", "3"]},
    "a thickness and a kernel": {"SliceThickness": "1.25", "ConvolutionKernel": ["B70f ", "3"]},
    "no orientation": {"ImageOrientationPatient": None},
    "orientation by name": {"ImageOrientationPatient": None, "PatientOrientation": ["L", "P"]},
    "turned": {"ImageOrientationPatient": [-1, 0, 0, 0, -1, 0]},
    "lossy once": {"LossyImageCompression": "01"},
    "derived": {"ImageType": ["DERIVED", "PRIMARY"]},
    "an unnamed unit": {"RescaleType": "US"},
    "one frame by name": {"NumberOfFrames": "1"},
    "gray that is not said": {"PhotometricInterpretation": None, "SamplesPerPixel": None},
    "empty elements": {"ConvolutionKernel": "", "SliceThickness": "", "PixelSpacing": "", "RescaleType": ""},
}


def nest(holder, depth, stated):
    """Put sequences into a dataset, each in the one before, with or without their lengths."""
    items = [Dataset(), Dataset()]
    for item in items:
        item.CodeValue = "1"
        item.is_undefined_length_sequence_item = not stated
    if depth > 1:
        nest(items[0], depth - 1, stated)
    holder.ReferencedImageSequence = items
    holder["ReferencedImageSequence"].is_undefined_length = not stated


def build_nested(syntax, depth, stated):
    data = describe_ct((HU + 1024).astype(np.uint16))
    data.file_meta.TransferSyntaxUID = syntax
    nest(data, depth, stated)
    return save(data)


def assert_same(body, terms=USUAL):
    """Both readers see one slice, and the plain one sees it at all."""
    found, usual = plain.render(body, terms), dicom.render(body, terms)
    assert found is not None
    assert np.array_equal(found.pixels, usual.pixels)
    assert found._replace(pixels=usual.pixels) == usual
    plane, wanted = plain.read_plane(body, terms), dicom.read_plane(body, terms)
    assert np.array_equal(plane.hu, wanted.hu)
    assert (plane.hu.dtype, plane.aspect) == (wanted.hu.dtype, wanted.aspect)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("syntax", PLAIN, ids=[syntax.name for syntax in PLAIN])
def test_a_plain_file_is_read_as_pydicom_reads_it(syntax, name):
    elements = dict(VARIANTS[name])
    data = describe_ct(elements.pop("pixels", (HU + 1024).astype(np.uint16)), **elements)
    data.file_meta.TransferSyntaxUID = syntax
    assert_same(save(data))


def test_every_window_that_may_be_asked_for_is_the_one_that_pydicoms_reader_takes():
    body = build_ct(WindowCenter="-500.5", WindowWidth="1501")
    for terms in ASKED:
        assert_same(body, terms)


@pytest.mark.parametrize("syntax", PLAIN, ids=[syntax.name for syntax in PLAIN])
@pytest.mark.parametrize("stated", [True, False])
def test_sequences_are_passed_over_whether_their_length_is_stated_or_not(syntax, stated):
    assert_same(build_nested(syntax, 3, stated))


def test_given_ct_files_are_plain_and_read_alike(data):
    for path in sorted((data / "dicom").rglob("*.dcm")):
        for terms in ASKED:
            assert_same(path.read_bytes(), terms)


def insert(element, before=b"\x28\0\x02\0"):
    """The plain file with one more element, by its bytes."""
    head, end, tail = build_ct().partition(before)
    return head + element + end + tail


EMPTY = b"".join(b"\x21\0" + pack("<H", number) + b"UN\0\0\0\0\0\0" for number in range(16, MOST_ELEMENTS))
ODD = {
    "trailing padding": build_ct() + b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0\0\0",
    "cut off": build_ct()[:-2],
    "more pixels than rows and columns": build_ct(Rows=60),
    "fewer": build_ct(Rows=70),
    "pixels as bytes": build_ct().replace(b"\xe0\x7f\x10\0OW", b"\xe0\x7f\x10\0UN"),
    "another kind of number": build_ct().replace(b"\x28\0\x10\0US", b"\x28\0\x10\0SS"),
    "no preamble": build_bare(),
    "several frames": build_enhanced(),
    "several frames of a classic image": build_ct(np.zeros((2, 64, 64), np.uint16)),
    "another object": build_ct(SOPClassUID=uid.MRImageStorage),
    "another modality": build_ct(Modality="MR"),
    "no class": build_ct().replace(b"\x08\0\x16\0UI", b"\x08\0\x17\0UI"),
    "an element twice": insert(b"\x28\0\x02\0US\x02\0\x01\0"),
    "out of order": insert(b"\x18\0\x50\0DS\x02\x001 "),
    "letters in a number": build_ct(RescaleSlope="1_0"),
    "a text that is none": insert(b"\x20\0\x20\0CS\x02\0\xe4\0"),
    "an odd length": insert(b"\x20\0\x20\0CS\x01\0L"),
    "an unknown kind": insert(b"\x21\0\x20\0XX\x02\0L "),
    "a length that leads out of the file": insert(b"\x21\0\x20\0UN\0\0\xf0\xff\xff\x7f"),
    "an unstated length where none may be": insert(b"\x21\0\x20\0UN\0\0\xff\xff\xff\xff"),
    "a sequence that never ends": insert(b"\x21\0\x20\0SQ\0\0\xff\xff\xff\xff"),
    "sequences too deep": build_nested(uid.ExplicitVRLittleEndian, 9, stated=False),
    "elements without end": insert(EMPTY),
    "a table of contents": insert(b"", b"\x08\0\x08\0").replace(b"\x08\0\x08\0CS", b"\x04\0\x08\0CS"),
    "32 bits": build_ct(SIGNED.astype(np.int32), RescaleIntercept=0),  # many times as large in floating point
    "what is refused": build_ct(RescaleSlope=None),
    "a bomb": build_bomb(2**20),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_is_out_of_the_ordinary_is_left_to_pydicom(name):
    for terms in ASKED:
        assert plain.render(ODD[name], terms) is None
    assert plain.read_plane(ODD[name], USUAL) is None


@pytest.mark.parametrize("syntax", [each for each in LOSSLESS if each not in PLAIN], ids=lambda each: each.name)
def test_other_transfer_syntaxes_are_left_to_pydicom_and_read_alike(syntax):
    body = build_ct(syntax=syntax)
    assert plain.render(body, USUAL) is None
    assert np.array_equal(read(body).pixels, read(build_ct()).pixels)


GOOD = (
    build_ct(),
    build_ct(syntax=uid.ImplicitVRLittleEndian, PixelPaddingValue=0, WindowCenter="40", WindowWidth="400"),
    build_nested(uid.ExplicitVRLittleEndian, 2, stated=False),
)


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(GOOD), st.lists(st.tuples(st.integers(0, 900), st.binary(min_size=1, max_size=4)), max_size=4))
def test_a_damaged_header_gives_what_pydicom_gives_or_is_left_to_it(good, changes):
    body = bytearray(good)
    for at, patch in changes:
        body[at : at + len(patch)] = patch
    for terms in ASKED:
        found = plain.render(bytes(body), terms)
        if found is None:
            continue
        try:
            usual = dicom.render(bytes(body), terms)
        except LungCTError as error:
            raise AssertionError(f"pydicom's reader refuses this: {error.message}") from error
        assert np.array_equal(found.pixels, usual.pixels)
        assert found._replace(pixels=usual.pixels) == usual


def test_plain_files_need_neither_pydicom_nor_a_child_process(tmp_path):
    (tmp_path / "slice.dcm").write_bytes(build_ct())
    statements = (
        "from lungct.pixels.image import decode; from lungct.pixels import reader;"
        "from lungct.settings import Settings; from lungct.window import LUNG;"
        "decode(body, None, None, LUNG, Settings()); assert reader._nursery.ended()"
    )
    check_unloaded(statements, tmp_path / "slice.dcm", "pydicom", "gdcm")


def test_a_value_that_is_longer_than_any_of_its_kind_is_left_to_the_child():
    """A list of millions of numbers takes seconds to read, and this is the thread that others wait for."""
    for count, usual in ((100, True), (1000, False)):
        body = build_ct(syntax=uid.ImplicitVRLittleEndian, WindowCenter=[40] * count, WindowWidth=[400] * count)
        assert (read_header(body) is not None) == usual
        assert read(body).rule == "model window"
