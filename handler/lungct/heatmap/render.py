"""Activation map + slice -> overlay -> encoded picture."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import numpy.typing as npt

from lungct import NOTICE
from lungct.model import Placement

UInt8 = npt.NDArray[np.uint8]

COLORMAPS = {
    "jet": cv2.COLORMAP_JET,
    "turbo": cv2.COLORMAP_TURBO,
    "viridis": cv2.COLORMAP_VIRIDIS,
    "cividis": cv2.COLORMAP_CIVIDIS,
    "inferno": cv2.COLORMAP_INFERNO,
}
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
    """(H, W) or BGR (H, W, 3) uint8 as "png" or "jpeg", with NOTICE in the file's own text field."""
    if kind == "jpeg":
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        comment = NOTICE.encode("ascii")
        cut = 4 + int.from_bytes(data[4:6], "big")  # the JFIF header must stay first
        return data[:cut] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[cut:]
    data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    text = b"tEXtDisclaimer\0" + NOTICE.encode("ascii")
    chunk = (len(text) - 4).to_bytes(4, "big") + text + zlib.crc32(text).to_bytes(4, "big")
    return data[:33] + chunk + data[33:]  # 33 bytes: signature and IHDR
