"""Formats are told by their first bytes; what is none of ours is refused with what to send instead."""

import numpy as np
import pytest
from PIL import Image
from pydicom import uid

from lungct.pixels.formats import measure_plain, recognise
from tests.support.dicoms import build_ct, read, refusal
from tests.support.pictures import GRAY, encode, encode_tiff


def test_the_format_is_told_by_the_first_bytes():
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP"):
        assert recognise(encode(GRAY, kind)) == kind
    assert recognise(build_ct()) == "DICOM"
    assert recognise(encode_tiff(GRAY, ">")) == "TIFF"


ARCHIVES = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b\x08",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07\x01",
    b"BZh9",
    b"\xfd7zXZ\0",
)
OTHERS = {
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "GIF": b"GIF89a",
    "document": b"%PDF-1.7",
    "volume": b"NRRD0004",
    "HEIC": b"\0\0\0\x18ftypheic",
}


def test_archives_are_refused_by_the_name_of_the_folder_tool():
    for magic in (*ARCHIVES, bytes(257) + b"ustar"):
        error = refusal(magic + bytes(200))
        assert error.code == "unsupported_format"
        assert "make score IN=folder OUT=results" in error.message


def test_other_formats_are_refused_with_what_to_send():
    for word, magic in OTHERS.items():
        error = refusal(magic + bytes(400))
        assert error.code == "unsupported_format"
        assert word in error.message
    nifti = (348).to_bytes(4, "little") + bytes(340) + b"n+1\0"
    assert "volume" in refusal(nifti).message
    for junk in (b"hello", b"\x08\0", b"BM" + bytes(60), b"RIFF\0\0\0\0WAVE", bytes(200)):
        assert refusal(junk).code == "unsupported_format"
    assert refusal(b"").code == "empty_body"


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b"\n ", b"\xff\xfe"])
def test_a_text_is_told_by_its_first_character_whatever_windows_writes_before_it(before):
    assert "JSON" in refusal(before + b'{\0"\0').message
    assert "web page" in refusal(before + b"<!DOCTYPE html>").message


def test_only_simple_files_count_as_plain():
    wide = np.ascontiguousarray(GRAY[:40])
    for kind in ("PNG", "JPEG"):
        body = encode(wide, kind)
        assert measure_plain(body, kind) == (40, 64)
        assert measure_plain(body[:40], kind) is None
    assert measure_plain(encode(GRAY, "TIFF"), "TIFF") is None
    body = encode(GRAY, "JPEG")
    assert measure_plain(body[:-2] + body[body.index(b"\xff\xda") : -2] * 4 + b"\xff\xd9", "JPEG") is None


WHOLE = {kind: encode(GRAY, kind) for kind in ("PNG", "JPEG", "BMP")} | {
    "WEBP": encode(GRAY, "WEBP", lossless=True),
    "DICOM": build_ct(),
    "compressed DICOM": build_ct(syntax=uid.JPEG2000Lossless),
}


@pytest.mark.parametrize("joint", [b"", b"&", b"\r\n"])
@pytest.mark.parametrize("kind", WHOLE)
def test_of_files_that_were_joined_none_is_scored_in_silence(kind, joint):
    """As `cat a b` has them, or curl of several --data-binary."""
    error = refusal(WHOLE[kind] + joint + WHOLE[kind])
    assert (error.code, "several pictures" in error.message) == ("unsupported_format", True)


def test_a_bitmap_that_says_no_length_is_one_picture():
    """As some programs write it; what it says of its length nobody else reads."""
    body = WHOLE["BMP"]
    assert read(body[:2] + bytes(4) + body[6:]).pixels.shape == GRAY.shape


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_no_file_behind_a_file_is_passed_over(kind):
    for rest in (b"\0" * 300, b"\r\n", bytes(range(256))):
        assert read(WHOLE[kind] + rest).pixels.shape == GRAY.shape


def test_a_thumbnail_within_a_jpeg_is_no_second_file():
    exif = Image.Exif()
    exif[0x8769] = {0x927C: b"\0" * 128 + WHOLE["JPEG"]}  # as cameras keep one in what their makers note
    assert read(encode(GRAY, "JPEG", exif=exif)).pixels.shape == GRAY.shape
