"""The physical resolution of a picture: pixels that are not square become so, what states nothing counts as square."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from lungct.pixels.formats import measure_plain
from tests.support.dicoms import HU, read, refusal
from tests.support.pictures import GRAY, encode, split_png

PICTURE = GRAY[:, :48]  # (64, 48)
TEXT, SHORT, UNDEFINED = 2, 3, 7  # types of TIFF's tags and EXIF's; a resolution is a fraction, 5


def exif(across, down, unit=2, orientation=1):
    tags = Image.Exif()
    tags[282], tags[283], tags[296], tags[274] = across, down, unit, orientation
    return tags


def type_tags(kind, across, down, unit=2):
    """The same tags, the resolution of another type than a fraction."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[282] = tags.tagtype[283] = kind
    tags[282], tags[283], tags[296] = across, down, unit
    return tags


def type_exif(*typed):
    return b"Exif\0\0II*\0\x08\0\0\0" + type_tags(*typed).tobytes(8)


def write_chunk(name: bytes, content: bytes, body: bytes = b"") -> bytes:
    """A PNG with this chunk before its pixels."""
    chunk = struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    body = body or encode(PICTURE, "PNG")
    return body[:33] + chunk + body[33:]


def write_phys(across: int, down: int, unit: int) -> bytes:
    """A PNG with pHYs: pixels per unit, across and down; unit 1 is the metre, 0 none (PNG 3rd ed., 11.3.4.3)."""
    return write_chunk(b"pHYs", struct.pack(">IIB", across, down, unit))


def write_imagej(unit: str) -> bytes:
    """A TIFF as ImageJ writes it: a unit that TIFF does not have stands in its description."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[282], tags[283], tags[296], tags[270] = 1.5, 1.0, 1, f"ImageJ=1.54f\nunit={unit}\nmin=0.0\n"
    return encode(PICTURE, "TIFF", tiffinfo=tags)


def describe_tiff(text: str, values: np.ndarray = PICTURE) -> bytes:
    """A TIFF with a description."""
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = text
    return encode(values, "TIFF", tiffinfo=tags)


def write_ome(more: str) -> bytes:
    """A TIFF with OME-XML, as bioformats and tifffile write it."""
    picture = f'<Pixels ID="Pixels:0" Type="uint8" SizeX="48" SizeY="64" {more}><Channel ID="C:0"/></Pixels>'
    return describe_tiff(f'<?xml version="1.0"?><OME xmlns="x"><Image ID="Image:0">{picture}</Image></OME>')


def write_jfif(across: int, down: int, unit: int, **options) -> bytes:
    """A JPEG with a JFIF density; unit 1 is the inch, 2 the centimetre, 0 none (T.871 10.1)."""
    body = bytearray(encode(PICTURE, "JPEG", **options))
    assert body[6:10] == b"JFIF"
    body[13:18] = struct.pack(">BHH", unit, across, down)
    return bytes(body)


def write_tiff(across: float, down: float, unit: int | None, values: np.ndarray = PICTURE) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[282], tags[283] = across, down
    if unit:
        tags[296] = unit
    return encode(values, "TIFF", tiffinfo=tags)


def write_bmp(across: int, down: int) -> bytes:
    """A BMP; pixels per metre."""
    body = bytearray(encode(PICTURE, "BMP"))
    body[38:46] = struct.pack("<II", across, down)
    return bytes(body)


STATED = {
    "PNG pHYs": write_phys(3000, 2000, 1),
    "PNG sCAL as SimpleITK writes it": write_chunk(b"sCAL", b"\1.7\x001.05"),
    "PNG sCAL beside a square pHYs": write_chunk(b"sCAL", b"\x011E-3\x001.5e-3", write_phys(2835, 2835, 1)),
    "TIFF by ImageJ": write_imagej("mm"),
    "TIFF by OME": write_ome('PhysicalSizeX="0.7" PhysicalSizeXUnit="mm" PhysicalSizeY="1.05" PhysicalSizeYUnit="mm"'),
    "TIFF by OME in its own unit": write_ome('PhysicalSizeY="1050" PhysicalSizeX="7E2"'),
    "JFIF inch": write_jfif(150, 100, 1),
    "JFIF centimetre": write_jfif(75, 50, 2),
    "JPEG EXIF": encode(PICTURE, "JPEG", exif=exif(300, 200)),
    "JPEG EXIF beside a JFIF without unit": write_jfif(1, 1, 0, exif=exif(30, 20, unit=3)),
    "JPEG EXIF beside a JFIF of 0": write_jfif(0, 0, 1, exif=exif(300, 200)),
    "EXIF in whole numbers": encode(PICTURE, "JPEG", exif=type_exif(SHORT, 300, 200)),
    "progressive JPEG": write_jfif(150, 100, 1, progressive=True),
    "TIFF inch": write_tiff(300, 200, 2),
    "TIFF centimetre": write_tiff(30, 20, 3),
    "TIFF without a unit is by the inch": write_tiff(300, 200, None),
    "TIFF of HU": write_tiff(300, 200, 2, HU[:, :48].astype(np.int32)),
    "BMP": write_bmp(3000, 2000),
    "WebP EXIF": encode(PICTURE, "WEBP", lossless=True, exif=exif(300, 200)),
    "PNG EXIF": encode(PICTURE, "PNG", exif=exif(300, 200)),
}
SQUARE = {
    "PNG without pHYs": encode(PICTURE, "PNG"),
    "PNG without a unit": write_phys(3, 2, 0),
    "PNG 0": write_phys(0, 0, 1),
    "PNG half 0": write_phys(0, 2000, 1),
    "PNG sCAL in radians": write_chunk(b"sCAL", b"\2.7\x001.05"),
    **{
        f"PNG sCAL {text!r}": write_chunk(b"sCAL", text)
        for text in (b"", b"\1", b"\x011\0", b"\x011.1.1\x002", b"\x010\x001")
    },
    "TIFF by ImageJ in pixels": write_imagej("pixel"),
    "OME of one side": write_ome('PhysicalSizeX="0.7"'),
    "OME in two units": write_ome('PhysicalSizeX="7" PhysicalSizeXUnit="mm" PhysicalSizeY="1" PhysicalSizeYUnit="cm"'),
    "OME of no numbers": write_ome('PhysicalSizeX="a" PhysicalSizeY="b"'),
    "OME of 0": write_ome('PhysicalSizeX="0" PhysicalSizeY="1"'),
    "PNG 1:1": write_phys(2835, 2835, 1),
    "PNG 1:1 but for rounding": write_phys(3937, 3936, 1),
    "JFIF without a unit": write_jfif(3, 2, 0),
    "JFIF 0": write_jfif(0, 0, 1),
    "EXIF without a unit": encode(PICTURE, "JPEG", exif=exif(300, 200, unit=1)),
    "TIFF without a unit of length": write_tiff(300, 200, 1),
    "TIFF 0": write_tiff(0, 0, 2),
    "TIFF that states one of both": encode(PICTURE, "TIFF", tiffinfo=dict.fromkeys([282], 300.0)),
    "JPEG EXIF as text": encode(PICTURE, "JPEG", exif=type_exif(TEXT, "300", "200")),
    **{
        f"JPEG EXIF as {text!r}": encode(PICTURE, "JPEG", exif=type_exif(TEXT, *text))
        for text in (("", ""), ("3", "2"), ("3", ""))
    },
    "JPEG EXIF as a byte": encode(PICTURE, "JPEG", exif=type_exif(1, b"3", b"2")),
    "PNG EXIF as text": encode(PICTURE, "PNG", exif=type_exif(TEXT, "9", "1")),
    "WebP EXIF as bytes": encode(PICTURE, "WEBP", exif=type_exif(UNDEFINED, b"9", b"1")),
    "TIFF as text": encode(PICTURE, "TIFF", tiffinfo=type_tags(TEXT, "300", "200")),
    "BMP 0": write_bmp(0, 0),
}


@pytest.mark.parametrize("name", STATED)
def test_pixels_half_as_high_again_as_wide_are_told_in_every_format(name):
    found = read(STATED[name])
    assert found.aspect == pytest.approx(1.5, rel=1e-3)
    assert found.resampled == (96, 48)
    assert found.pixels.shape == (64, 48)


@pytest.mark.parametrize("name", SQUARE)
def test_a_resolution_that_states_nothing_or_the_same_both_ways_leaves_pixels_square(name):
    assert read(SQUARE[name]).resampled is None


@pytest.mark.parametrize("body", [write_bmp(714, 1429), write_tiff(36.285713, 18.142857, 2), write_jfif(42, 21, 1)])
def test_two_to_one_is_read_though_a_files_numbers_are_rounded(body):
    assert read(body).aspect in (0.5, 2.0)


def test_a_picture_that_is_turned_has_its_pixels_turned_too():
    for orientation, aspect in ((1, 1.5), (3, 1.5), (6, 2 / 3), (8, 2 / 3)):
        tags = exif(300, 200, orientation=orientation)
        assert read(encode(PICTURE, "JPEG", exif=tags)).aspect == pytest.approx(aspect, rel=1e-3)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[282], tags[283], tags[296], tags[274] = 300, 200, 2, 6
    found = read(encode(PICTURE, "TIFF", tiffinfo=tags))
    assert (found.aspect, found.pixels.shape) == (pytest.approx(2 / 3, rel=1e-3), (48, 64))


@pytest.mark.parametrize("body", [write_phys(2100, 1000, 1), write_jfif(10, 21, 2), write_tiff(100, 1, 2)])
def test_a_picture_whose_pixels_are_more_than_twice_as_long_one_way_is_corrupt(body):
    error = refusal(body)
    assert error.code == "corrupt_image"
    assert "twice" in error.message


def test_pixels_that_are_not_square_do_not_cost_the_plain_formats_their_short_way():
    assert measure_plain(STATED["PNG pHYs"], "PNG") == measure_plain(STATED["JFIF inch"], "JPEG") == (64, 48)
    assert b"pHYs" in dict(split_png(STATED["PNG pHYs"]))
    assert Image.open(io.BytesIO(STATED["JFIF inch"])).info["jfif_density"] == (150, 100)
