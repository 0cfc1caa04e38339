"""Depths at which readers differ: the values that come out here. docs/beliefs.md has the table."""

import struct

import cv2
import numpy as np
import pytest
from pydicom import uid

from lungct.model.preprocess import to_input
from lungct.window import LUNG
from tests.support.dicoms import HU, build_ct, read, refusal
from tests.support.pictures import GRAY, encode, encode_tiff

STORED = (HU + 1024).astype(np.uint16)  # 12 bits


def pack_tiff(values):
    """(H, W) of 12 bits as a TIFF of 12 bits a sample, two samples in three bytes; W is even."""
    rows, columns = values.shape
    packed = int("".join(f"{value:012b}" for value in values.ravel()), 2).to_bytes(values.size * 3 // 2, "big")
    sizes = ((256, 3, columns), (257, 3, rows), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1))
    tags = (*sizes, (278, 3, rows), (279, 4, len(packed)))
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + struct.pack("<H", len(tags)) + entries + bytes(4)


def by_opencv(kind, values):
    written, body = cv2.imencode(kind, values)
    assert written
    return body.tobytes()


DEPTHS = {
    "12-bit TIFF": (pack_tiff(STORED), "HU + 1024"),
    "int16 TIFF": (encode_tiff(HU), "taken as HU,"),
    "int16 TIFF by OpenCV": (by_opencv(".tiff", HU), "taken as HU,"),
    "uint16 TIFF": (encode_tiff(STORED), "HU + 1024"),
    "uint16 PNG": (encode(STORED, "PNG"), "HU + 1024"),
    "uint16 PNG by OpenCV": (by_opencv(".png", STORED), "HU + 1024"),
    "12-bit JPEG 2000 in DICOM": (build_ct(STORED, uid.JPEG2000Lossless, BitsStored=12, HighBit=11), None),
    "12-bit JPEG-LS in DICOM": (build_ct(STORED, uid.JPEGLSLossless, BitsStored=12, HighBit=11), None),
}


@pytest.mark.parametrize("name", DEPTHS)
def test_values_come_out_as_they_were_stored_and_the_rule_is_told(name):
    body, sentence = DEPTHS[name]
    found = read(body)
    assert np.array_equal(found.pixels, LUNG.render(HU))
    assert [sentence in warning for warning in found.warnings] == [True] * (sentence is not None)


def test_jpeg_2000_outside_dicom_is_refused_because_its_depth_is_guessed_elsewhere():
    assert refusal(encode(STORED, "JPEG2000")).code == "unsupported_format"


def test_a_png_that_opencv_made_of_int16_is_what_it_says_gray_of_eight_bits():
    """OpenCV clips HU to 0..255 when it writes them; nothing in the file tells."""
    found = read(by_opencv(".png", HU))
    assert found.rule == "as is"
    assert np.array_equal(found.pixels, np.clip(HU, 0, 255))


@pytest.mark.parametrize("rescale", [{"RescaleSlope": "nan"}, {"RescaleIntercept": "nan"}, {"RescaleIntercept": "inf"}])
def test_a_rescale_that_is_no_number_is_refused(rescale):
    """OpenVINO's ReLU would turn a NaN into 0, and a plausible class would come out."""
    assert refusal(build_ct(**rescale)).code == "corrupt_image"


@pytest.mark.parametrize("name", DEPTHS)
@pytest.mark.parametrize("geometry", ["pad", "squash"])
def test_the_network_gets_whole_bytes_whatever_the_file_held(name, geometry):
    """OpenVINO wraps what does not fit its u8 input, without a word: 256 becomes 0."""
    found = to_input(read(DEPTHS[name][0]).pixels, GRAY.shape[0] // 2, geometry, 0)
    assert found.dtype == np.uint8
