"""Activation map + slice -> overlay -> encoded picture."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import numpy.typing as npt
from isal.isal_zlib import compress

from lungct import NOTICE
from lungct.model import Placement

UInt8 = npt.NDArray[np.uint8]

COLORMAPS = {
    "viridis": cv2.COLORMAP_VIRIDIS,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "inferno": cv2.COLORMAP_INFERNO,
    "jet": cv2.COLORMAP_JET,
    "turbo": cv2.COLORMAP_TURBO,
}
FILTER_UP, GRAYSCALE, TRUECOLOUR = 2, 0, 2  # PNG 3rd ed., 9.2 and 11.2.1
CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg"}


def spread(activation: npt.NDArray[np.float32], placement: Placement) -> UInt8:
    """Bring a map (h, w) in [0, 1] back onto the slice it was computed from.

    Returns:
        (rows, columns) uint8 of the slice, 255 = strongest evidence; what fell on the padding is cut off.
    """
    levels = np.rint(activation * 255).astype(np.uint8)
    shape = (placement.canvas_columns, placement.canvas_rows)
    canvas = np.asarray(cv2.resize(levels, shape, interpolation=cv2.INTER_LINEAR), np.uint8)
    return canvas[placement.top : placement.top + placement.rows, placement.left : placement.left + placement.columns]


def overlay(pixels: UInt8, heat: UInt8, colormap: str, opacity: float = 0.5) -> UInt8:
    """Blend the coloured heat (H, W) over the gray slice (H, W); (H, W, 3) uint8 in OpenCV's BGR order."""
    colours = cv2.applyColorMap(heat, COLORMAPS[colormap])
    gray = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.addWeighted(gray, 1 - opacity, colours, opacity, 0), np.uint8)


def encode(picture: UInt8, kind: str) -> bytes:
    """(H, W) or BGR (H, W, 3) uint8 as "png" or "jpeg", with NOTICE in the file's own text field.

    JPEG has quality 90. PNG is lossless (PNG 3rd ed.), each row less the one above, so that smooth maps are small.
    """
    if kind == "jpeg":
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        comment = NOTICE.encode("ascii")
        cut = 4 + int.from_bytes(data[4:6], "big")  # the JFIF header must stay first
        return data[:cut] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[cut:]
    return _write_png(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8) if picture.ndim == 3 else picture)


def _write_png(picture: UInt8) -> bytes:
    """A PNG of gray (H, W) or RGB (H, W, 3). By ISA-L: OpenCV's zlib takes most of the time that a heatmap costs."""
    height, width, *channels = picture.shape
    rows = picture.reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = FILTER_UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, TRUECOLOUR if channels else GRAYSCALE, 0, 0, 0),
        b"tEXt": b"Disclaimer\0" + NOTICE.encode("ascii"),
        b"IDAT": compress(filtered, 1),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))
        for name, data in chunks.items()
    )
