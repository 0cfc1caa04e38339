"""Worse copies of a slice, which must not be trusted more than itself, and crops, which still show a chest."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

UInt8 = npt.NDArray[np.uint8]
Resampling = Image.Resampling

# Shares of a field of view that is about 360 mm wide: 200 to 300 mm, the heart's and that of a small patient.
FIELDS = (0.56, 0.69, 0.83)
ASIDE = 0.1  # of the slice's side that a crop's middle lies from the slice's, at most


def resize(pixels: UInt8, share: float, filter_: Resampling = Resampling.LANCZOS) -> UInt8:
    """(H, W) resized by a share."""
    rows, columns = pixels.shape
    return np.asarray(Image.fromarray(pixels).resize((round(columns * share), round(rows * share)), filter_))


def compress(pixels: UInt8, kind: str, **options: Any) -> UInt8:
    """(H, W) as a lossy file gives it back."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return np.asarray(Image.open(stream))


def shrink_and_enlarge(pixels: UInt8) -> UInt8:
    """(H, W) at half its size, and back."""
    small = Image.fromarray(resize(pixels, 0.5))
    return np.asarray(small.resize((pixels.shape[1], pixels.shape[0]), Resampling.BICUBIC))


COPIES: dict[str, Callable[[UInt8], UInt8]] = {
    "three quarters of the size": lambda pixels: resize(pixels, 0.75),
    "half the size": lambda pixels: resize(pixels, 0.5),
    "half the size, enlarged again": shrink_and_enlarge,
    "blurred, sigma 1 pixel": lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 1).astype(np.uint8),
    "JPEG of quality 30": lambda pixels: compress(pixels, "JPEG", quality=30),
    "JPEG 2000 of 40 to 1": lambda pixels: compress(pixels, "JPEG2000", quality_layers=[40], irreversible=True),
    "a screenshot: 1.3 times the size, JPEG of quality 75": lambda pixels: compress(
        resize(pixels, 1.3, Resampling.BICUBIC), "JPEG", quality=75
    ),
    "32 gray levels": lambda pixels: (pixels & 0xF8) + np.uint8(4),
}


def crop(pixels: UInt8, share: float, rng: np.random.Generator) -> UInt8:
    """A square of a share of the slice's shorter side, its middle near that of the slice."""
    side = round(share * min(pixels.shape))
    corner = []
    for length in pixels.shape:
        middle = length * (0.5 + rng.uniform(-ASIDE, ASIDE))
        corner.append(round(min(max(middle - side / 2, 0), length - side)))
    top, left = corner
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def crop_somewhere(share: float) -> Callable[[UInt8], UInt8]:
    """`crop` to a share; where is drawn from the slice's own pixels, so that it is the same every time."""
    return lambda pixels: crop(pixels, share, np.random.default_rng(zlib.crc32(pixels.tobytes())))


CROPS = {f"crop to {share:.0%} of the width": crop_somewhere(share) for share in FIELDS}
