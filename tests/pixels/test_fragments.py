"""Encapsulated pixel data in fragments: frames are found whatever the offset table says."""

import io

import numpy as np
import pytest
from pydicom import dcmread, uid
from pydicom.encaps import encapsulate

from lungct.pixels.pixeldata import SYNTAXES, find_frame
from lungct.window import LUNG
from tests.support.dicoms import (
    HU,
    build_ct,
    build_of,
    describe_ct,
    read,
    save,
)

HU_UP = [(HU + 1024 + 10 * i).astype(np.uint16) for i in range(3)]  # three frames as they are stored


def enclose(*items):
    """Encapsulated pixel data of these items, the first of which should be a Basic Offset Table."""
    padded = [item + bytes(len(item) % 2) for item in items]
    sequence = b"".join(b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item for item in padded)
    return sequence + b"\xfe\xff\xdd\xe0\0\0\0\0"


def split(data, table):
    """Pixel data in fragments of 100 bytes and a Basic Offset Table of these numbers."""
    frame = find_frame(data.PixelData, 0, 1)
    parts = [frame[at : at + 100] for at in range(0, len(frame), 100)]
    entries = [len(parts) * 108 + 8 if table == "beyond" else 108 * n for n in range(len(parts))]
    entries = {"empty": [], "none but a wrong one": [12], "beyond": entries[:1], "half a number": [0]}.get(
        table, entries
    )
    numbers = b"".join(value.to_bytes(4, "little") for value in entries)
    data.PixelData = enclose(numbers[:2] if table == "half a number" else numbers, *parts)
    return save(data)


@pytest.mark.parametrize("table", ["empty", "per fragment", "none but a wrong one", "beyond", "half a number"])
@pytest.mark.parametrize("syntax", [s for s in SYNTAXES.values() if s.plugin], ids=lambda s: s.name)
def test_a_single_frame_is_all_its_fragments_whatever_the_offset_table_says(syntax, table):
    body, _ = build_of(syntax.uid)
    expected = read(body).pixels
    assert np.array_equal(read(split(dcmread(io.BytesIO(body)), table)).pixels, expected)


@pytest.mark.parametrize("syntax", [s for s in SYNTAXES.values() if s.plugin], ids=lambda s: s.name)
def test_a_single_frame_is_found_where_the_offset_table_is_missing(syntax):
    data = dcmread(io.BytesIO(build_of(syntax.uid)[0]))
    expected = read(save(data)).pixels
    data.PixelData = enclose(find_frame(data.PixelData, 0, 1))
    assert np.array_equal(read(save(data)).pixels, expected)


def test_a_single_frame_needs_no_right_extended_offset_table_either():
    data = dcmread(io.BytesIO(build_of(uid.JPEG2000Lossless)[0]))
    expected = read(save(data)).pixels
    data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = (10**6).to_bytes(8, "little"), bytes(8)
    assert np.array_equal(read(save(data)).pixels, expected)


def test_as_many_fragments_as_frames_are_one_each_whatever_the_offset_table_says():
    data = dcmread(io.BytesIO(build_ct(np.stack(HU_UP), uid.RLELossless)))
    fragments = [find_frame(data.PixelData, i, 3) for i in range(3)]
    table = b"".join(value.to_bytes(4, "little") for value in (0, 2, 4))
    right = encapsulate(fragments, has_bot=True)
    data.PixelData = right[:8] + table + right[20:]
    assert right[:8] == b"\xfe\xff\x00\xe0\x0c\0\0\0"
    for pixel_data in (data.PixelData, enclose(*fragments)):
        data.PixelData = pixel_data
        for frame in range(3):
            assert np.array_equal(read(save(data), frame=frame).pixels, LUNG.render(HU + 10 * frame))


@pytest.mark.parametrize("syntax", [uid.JPEGLossless, uid.JPEGLSLossless, uid.JPEG2000Lossless], ids=lambda s: s.name)
def test_frames_of_several_fragments_begin_where_their_codestreams_do(syntax):
    frames = [find_frame(dcmread(io.BytesIO(build_ct(HU_UP[i], syntax))).PixelData, 0, 1) for i in range(3)]
    data = describe_ct(np.stack(HU_UP))
    data.file_meta.TransferSyntaxUID = syntax
    fragments = [part for frame in frames for part in (frame[:100], frame[100:300], frame[300:])]
    for table in (b"", b"".join(value.to_bytes(4, "little") for value in (0, 7, 14)), bytes(12)):
        data.PixelData = enclose(table, *fragments)
        data["PixelData"].VR = "OB"
        for frame in range(3):
            assert np.array_equal(read(save(data), frame=frame).pixels, LUNG.render(HU + 10 * frame))
