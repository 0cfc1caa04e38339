"""The slices that everything is measured on: synthetic JPEG files, or a folder of one's own."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from lungct.window import LUNG
from lungct_tools.phantom.anatomy import NODULES, draw_slice

COUNT = 16
SIDE = 512  # pixels
NOISE_HU, QUALITY = 30, 98  # a noisy scan at high quality: about 140 kB a file, as in the training data


def draw_slices(side: int = SIDE, count: int = COUNT) -> list[bytes]:
    """Different synthetic slices, side x side, as gray JPEG files."""
    return [encode_jpeg(Image.fromarray(LUNG.render(hu))) for hu in draw_planes(side, count)]


def draw_planes(side: int = SIDE, count: int = COUNT) -> list[np.ndarray]:
    """The same as (side, side) float HU."""
    rng = np.random.default_rng(0)
    drawn = [draw_slice(i, NODULES[i % 3], side) for i in range(count)]
    return [hu + rng.normal(0, NOISE_HU, hu.shape) for hu in drawn]


def read_slices(folder: Path) -> list[bytes]:
    """The JPEG files of a folder; ValueError if there is none."""
    found = [path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix.lower() in (".jpg", ".jpeg")]
    if not found:
        raise ValueError(f"{folder} holds no JPEG files.")
    return found


def colour(slices: list[bytes]) -> list[bytes]:
    """The same slices as RGB files: the stock image_classifier cannot take gray ones."""
    return [encode_jpeg(Image.open(io.BytesIO(each)).convert("RGB")) for each in slices]


def encode_jpeg(picture: Image.Image) -> bytes:
    """The picture as a JPEG file of high quality."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
