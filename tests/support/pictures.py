"""Builds pictures of every mode and layout that we read, and hostile ones."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from lungct.window import LUNG
from tests.support.dicoms import HU

GRAY = LUNG.render(HU)  # (64, 64) uint8
DEEP_TAGS = {"u": 1, "i": 2, "f": 3}  # SampleFormat


def encode(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file, by Pillow."""
    stream = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(stream, kind, **options)
    return stream.getvalue()


def encode_tiff(values: np.ndarray, order: str = "<", photometric: int = 1) -> bytes:
    """(H, W) values of any type as an uncompressed TIFF in either byte order; photometric 0: 0 is white."""
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = (
        (256, 4, values.shape[1]), (257, 4, values.shape[0]), (258, 3, 8 * values.dtype.itemsize), (259, 3, 1),
        (262, 3, photometric), (273, 4, 8), (277, 3, 1), (278, 4, values.shape[0]), (279, 4, len(data)),
        (339, 3, DEEP_TAGS[values.dtype.kind]),
    )  # fmt: skip
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8 + len(data))
    entries = b"".join(
        struct.pack(order + "HHI", tag, kind, 1)
        + (struct.pack(order + "HH", value, 0) if kind == 3 else struct.pack(order + "I", value))
        for tag, kind, value in tags
    )
    return head + data + struct.pack(order + "H", len(tags)) + entries + bytes(4)


def encode_deep_png(colours: np.ndarray) -> bytes:
    """(H, W, 3) uint16 as a PNG of 16 bits a channel, which Pillow cannot write."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    head = struct.pack(">IIBBBBB", colours.shape[1], colours.shape[0], 16, 2, 0, 0, 0)
    return join_png((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def join_png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of (name, content) chunks."""
    packed = [
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def split_png(body: bytes) -> list[tuple[bytes, bytes]]:
    """The (name, content) chunks of a PNG file."""
    chunks, at = [], 8
    while at < len(body):
        length = int.from_bytes(body[at : at + 4], "big")
        chunks.append((body[at + 4 : at + 8], body[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks
