"""Pictures: gray as Pillow's, more bits by a stated rule, and nothing hostile past the header."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from pydicom import uid

from lungct.errors import LungCTError
from lungct.pixels import image, reader
from lungct.pixels.formats import measure_plain
from lungct.pixels.image import check_size
from lungct.settings import Settings
from lungct.window import LUNG
from tests.support.dicoms import DEADLINE_S, HU, build_ct, read, refusal
from tests.support.pictures import GRAY, encode, join_png, split_png


def picture_of(mode: str) -> Image.Image:
    """A coloured picture of a Pillow mode, with a gradient in its alpha."""
    colours = np.stack([GRAY, GRAY.T, GRAY[::-1]], axis=2)
    if mode in ("1", "L", "P", "CMYK", "RGB"):
        return Image.fromarray(colours).convert(mode)
    shown = Image.fromarray(GRAY if mode == "LA" else colours)
    shown.putalpha(Image.fromarray(GRAY.T.copy()))
    return shown


MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "JPEG": ("L", "RGB", "CMYK"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK"),
    "BMP": ("1", "L", "P", "RGB"),
    "WEBP": ("RGB", "RGBA"),
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_gray_equals_pillows_in_every_mode(kind, mode):
    body = encode(picture_of(mode), kind)
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.mode == mode
        expected = np.asarray(picture.convert("L"))
    found = read(body)
    assert np.array_equal(found.pixels, expected)
    assert (found.format, found.window, found.rule) == (kind, None, "as is")
    assert any("coloured" in warning for warning in found.warnings) == (mode not in ("1", "L", "LA"))
    assert any("Transparency" in warning for warning in found.warnings) == (mode in ("LA", "RGBA"))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_finished_gray_levels_are_taken_as_they_are(kind):
    found = read(encode(GRAY, kind))
    assert np.array_equal(found.pixels, GRAY)
    assert found.warnings == ()


def test_gray_saved_as_colour_is_not_called_coloured():
    found = read(encode(np.stack([GRAY] * 3, axis=2), "JPEG", quality=95))
    assert found.warnings == ()
    assert np.abs(found.pixels.astype(int) - GRAY).max() < 20


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_stated(kind, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    body = encode(GRAY[:, :40], kind, exif=exif, **options)
    with Image.open(io.BytesIO(body)) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture).convert("L"))
    found = read(body)
    assert np.array_equal(found.pixels, expected)
    assert expected.shape == ((64, 40) if orientation < 5 else (40, 64))
    assert any("turned" in warning for warning in found.warnings) == (orientation > 1)


def test_several_pictures_in_a_file_are_refused():
    pages = {"save_all": True, "append_images": [Image.fromarray(255 - GRAY)]}
    for kind in ("TIFF", "WEBP", "PNG"):
        error = refusal(encode(GRAY, kind, **pages))
        assert error.code == "unsupported_format"
        assert "several pictures" in error.message
    assert refusal(encode(GRAY, "TIFF"), None, 1).code == "bad_option"
    assert np.array_equal(read(encode(GRAY, "TIFF"), None, 0).pixels, GRAY)


def test_limits_are_checked_from_the_header():
    settings = Settings(max_pixels=100, max_side=20)
    check_size(10, 10, settings)
    for rows, columns in ((10, 11), (1, 21), (21, 1)):
        with pytest.raises(LungCTError):
            check_size(rows, columns, settings)
    read(build_ct())  # the nursery is up
    huge = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    started = time.monotonic()
    for depth in (b"\x08", b"\x10"):  # here and in a reader
        body = join_png((b"IHDR", huge[:8] + depth + huge[9:]), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
        assert refusal(body).code == "too_many_pixels"
    assert refusal(encode(GRAY, "JPEG"), max_side=63).code == "too_many_pixels"
    assert time.monotonic() - started < DEADLINE_S
    assert refusal(encode(GRAY, "PNG"), max_bytes=100).code == "too_many_bytes"


def test_a_jpeg_below_pillows_bomb_limit_is_still_too_large():
    body = bytearray(encode(GRAY, "JPEG"))
    at = body.index(b"\xff\xc0")
    body[at + 5 : at + 9] = struct.pack(">HH", 8192, 8192)  # 67 megapixels, of which Pillow does not even warn
    assert refusal(bytes(body)).code == "too_many_pixels"


def test_simple_files_are_decoded_here_and_the_others_in_a_reader(monkeypatch):
    def refuse(*args):
        raise AssertionError("sent to a reader")

    monkeypatch.setattr(reader, "read", refuse)
    for body in (encode(GRAY, "PNG"), encode(GRAY, "JPEG"), encode(picture_of("RGB"), "JPEG")):
        assert read(body).pixels.shape == GRAY.shape
    assert np.array_equal(read(build_ct()).pixels, LUNG.render(HU))
    for body in (
        encode(GRAY, "JPEG", progressive=True),
        encode(GRAY, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
        encode(GRAY.astype(np.uint16), "PNG"),
        encode(GRAY, "BMP"),
        build_ct(syntax=uid.RLELossless),
    ):
        with pytest.raises(AssertionError, match="sent to a reader"):
            read(body)


def many_scans() -> bytes:
    """A progressive JPEG whose last scan comes 30,000 times: each costs a pass over all pixels."""
    body = encode(np.zeros((2048, 2048), np.uint8), "JPEG", progressive=True)
    scans = [i for i in range(len(body)) if body[i : i + 2] == b"\xff\xda"]
    return body[:-2] + body[scans[-1] : -2] * 30_000 + b"\xff\xd9"


def many_chunks() -> bytes:
    """A PNG with a million empty chunks."""
    head, *rest = split_png(encode(GRAY, "PNG"))
    empty = join_png((b"tEXt", b""))[8:]
    return join_png(head) + empty * 1_000_000 + join_png(*rest)[8:]


def long_text() -> bytes:
    """A PNG with texts that inflate to gigabytes."""
    head, *rest = split_png(encode(GRAY, "PNG"))
    bomb = (b"zTXt", b"k\0\0" + zlib.compress(bytes(2**26), 9))
    return join_png(head, *[bomb] * 100, *rest)


def many_segments() -> bytes:
    """A JPEG with millions of empty segments."""
    body = encode(GRAY, "JPEG")
    return body[:2] + b"\xff\xe5\0\2" * 2_000_000 + body[2:]


def short_pixels() -> bytes:
    """A PNG whose pixels inflate to far more than the header declares."""
    head, *_ = split_png(encode(GRAY, "PNG"))
    return join_png(head, (b"IDAT", zlib.compress(bytes(2**28), 9)), (b"IEND", b""))


@pytest.mark.parametrize("build", [many_scans, many_chunks, long_text, many_segments, short_pixels])
def test_files_that_cost_more_than_they_weigh_end_in_time_and_cost_the_worker_little(build):
    read(build_ct())  # the nursery is up
    body = build()
    assert len(body) < Settings().max_bytes
    started = time.monotonic(), time.process_time()
    try:
        read(body)
    except LungCTError as error:
        assert error.code in ("corrupt_image", "too_many_bytes")
    assert time.process_time() - started[1] < 1  # of the worker
    assert time.monotonic() - started[0] < DEADLINE_S


def test_cut_pictures_are_corrupt():
    for kind in MODES:
        body = encode(picture_of("RGB"), kind)
        for share in (0.3, 0.7, 0.98):
            assert refusal(body[: int(len(body) * share)]).code == "corrupt_image", (kind, share)


@pytest.mark.data
def test_the_training_images_are_plain_and_equal_pillows_gray(data):
    paths = sorted((data / "iq_othnccd").rglob("*.jpg"))[::40]
    assert len(paths) > 20
    for path in paths:
        body = path.read_bytes()
        assert measure_plain(body, "JPEG")
        with Image.open(path) as picture:
            assert np.array_equal(
                image.decode(body, None, None, LUNG, Settings()).pixels, np.asarray(picture.convert("L"))
            )
