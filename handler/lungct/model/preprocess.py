"""Slice -> network input: the one definition that training and serving share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

if TYPE_CHECKING:  # importing torch takes a second that a worker without it need not spend
    from torch import Tensor

Geometry = Literal["pad", "squash"]
UInt8 = npt.NDArray[np.uint8]

MEAN = STD = 127.5  # mean 0.5 and std 0.5 of the unit range, in gray levels


class Placement(NamedTuple):
    """Where a slice of `rows` x `columns` lies on the canvas that is resized to the network input."""

    top: int
    left: int
    rows: int
    columns: int
    canvas_rows: int
    canvas_columns: int


def place(rows: int, columns: int, geometry: Geometry, aspect: float = 1.0) -> Placement:
    """Centre the slice on a canvas that is square in the patient (`pad`), or take it as canvas itself (`squash`).

    Padding keeps the aspect ratio: in the training data only one class has wide slices, so squashing
    would let the network read the class off the distortion.

    Args:
        rows, columns: of the slice.
        geometry: see `to_input`.
        aspect: height over width of a pixel. The canvas has the slice's own pixels, so where they are not square it has
            not as many rows as columns.
    """
    if geometry == "squash":
        return Placement(0, 0, rows, columns, rows, columns)
    side = max(rows * aspect, columns)  # in widths of a pixel
    high, wide = round(side / aspect), round(side)
    return Placement((high - rows) // 2, (wide - columns) // 2, rows, columns, high, wide)


def to_input(pixels: UInt8, size: int, geometry: Geometry, air: int, aspect: float = 1.0) -> UInt8:
    """Resize one slice to the network's square, once: pixels that are not square become so on the way.

    Args:
        pixels: (H, W) uint8 gray.
        size: side S of the network input.
        geometry: "pad" centres the slice on a square of `air`, "squash" ignores the aspect ratio.
        air: gray level of air at the model's window, 0-255; used by "pad".
        aspect: height over width of a pixel, used by "pad".

    Returns:
        (1, S, S) uint8, Pillow's bilinear with antialiasing. torch's uint8 resize is as fast and equal for 512 x 512,
        yet differs by one gray level for other shapes, so Pillow itself it is.
    """
    rows, columns = pixels.shape
    spot = place(rows, columns, geometry, aspect)
    if (spot.canvas_rows, spot.canvas_columns) != pixels.shape:
        canvas = np.full((spot.canvas_rows, spot.canvas_columns), air, np.uint8)
        canvas[spot.top : spot.top + spot.rows, spot.left : spot.left + spot.columns] = pixels
        pixels = canvas
    if pixels.shape == (size, size):
        return np.ascontiguousarray(pixels)[None]
    resized = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized)[None]


def normalize(batch: Tensor) -> Tensor:
    """(N, 1, S, S) uint8 -> (N, 3, S, S) float32 in [-1, 1]: mean 0.5, std 0.5, three equal channels."""
    return ((batch.float() - MEAN) / STD).expand(-1, 3, -1, -1)
