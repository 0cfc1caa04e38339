"""Stored values of a CT image -> HU -> gray (PS3.3 C.11.1, C.7.5.1.1.2; PS3.5 8.1.1)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lungct.pixels.elements import Elements, as_list, require
from lungct.pixels.rendering import Values
from lungct.window import AIR_HU, Window

BLOCK = 2**16  # values whose gray levels are looked up at once: of a large image at three times the speed of all
TABLED = 2  # bytes of a value, of which there are few enough to have a table of gray levels


class Scale(NamedTuple):
    """What the values of an image mean.

    Attributes:
        stored: bits in use.
        slope, intercept: HU = stored value x slope + intercept.
        padding: none, the value of what is no tissue, or that and the other end of its range; as the file says it.
    """

    stored: int
    slope: float
    intercept: float
    padding: tuple[int, ...] = ()


def read_scale(data: Elements, slope: float, intercept: float) -> Scale:
    """The scale of a dataset; whatever int() raises where its padding is no number."""
    ends = [as_list(data.get(name))[:1] for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    padding = [int(value) for end in ends for value in end] if ends[0] else []
    return Scale(int(require(data, "BitsStored")), slope, intercept, tuple(padding))


def to_gray(raw: Values, scale: Scale, window: Window) -> npt.NDArray[np.uint8]:
    """(H, W) integers as they lie in the allocated bits -> (H, W) uint8 gray at a window."""
    if raw.dtype.itemsize > TABLED:
        return window.render(to_hu(raw, scale))
    table, bits = _tabulate(raw.dtype.str, scale, window), raw.view(f"u{raw.dtype.itemsize}")
    gray = np.empty(raw.shape, np.uint8)
    rows = max(1, BLOCK // raw.shape[1])
    for top in range(0, len(raw), rows):  # NumPy widens what it takes by to 8 bytes each
        table.take(bits[top : top + rows], out=gray[top : top + rows], mode="clip")
    return gray


def to_hu(raw: Values, scale: Scale) -> npt.NDArray[np.floating[Any]]:
    """(H, W) integers as they lie in the allocated bits -> (H, W) HU, padding as air: float32, of 32 bits float64."""
    stored = clear_unused_bits(raw, scale.stored)
    hu: npt.NDArray[np.floating[Any]] = stored.astype(np.float64 if raw.dtype.itemsize > TABLED else np.float32)
    hu = hu * scale.slope + scale.intercept
    hu[_find_padding(raw, stored, scale)] = AIR_HU
    return hu


def to_whole_hu(raw: Values, scale: Scale) -> npt.NDArray[np.int16]:
    """(H, W) integers as they lie in the allocated bits -> (H, W) int16 HU, rounded; padding is air."""
    return np.asarray(np.clip(np.rint(to_hu(raw, scale)), -32768, 32767), np.int16)


def clear_unused_bits(values: Values, stored: int) -> Values:
    """Drop what lies above the `stored` bits, which means nothing (PS3.5 8.1.1), and extend the sign.

    Old scanners kept overlays there; encoders leave negative values there without their sign, whatever the syntax.
    """
    shift = 8 * values.dtype.itemsize - stored
    return (values << shift) >> shift if shift > 0 else values


@lru_cache(maxsize=16)  # the slices of a series share one, and scanners have few
def _tabulate(kind: str, scale: Scale, window: Window) -> npt.NDArray[np.uint8]:
    """The gray level of each value that 8 or 16 bits can hold, by its bits as an unsigned number."""
    bits = 8 * np.dtype(kind).itemsize
    return window.render(to_hu(np.arange(1 << bits, dtype=f"u{bits // 8}").view(kind), scale))


def _find_padding(raw: Values, stored: Values, scale: Scale) -> npt.NDArray[np.bool_]:
    """(H, W) mask of the padding.

    Files state the padding value of a signed image as an unsigned number, or the reverse, and leave it in bits that
    are not in use. So it is compared with the allocated bits and with the stored value.
    """
    if not scale.padding:
        return np.zeros(raw.shape, bool)
    ends = [_wrap(value, scale.stored, raw.dtype) for value in scale.padding]
    mask: npt.NDArray[np.bool_] = (raw == ends[0]) | (stored == ends[0])
    if len(ends) > 1:
        mask |= (stored >= min(ends)) & (stored <= max(ends))
    return mask


def _wrap(value: int, stored: int, kind: np.dtype[Any]) -> int:
    """A number as an integer type reads its bits: 63536 is -2000 in int16, and so is 2096 where 12 bits are stored."""
    allocated = 8 * kind.itemsize
    bits = stored if 0 <= value < 1 << stored else allocated
    value %= 1 << bits
    return value - (1 << bits) if kind.kind == "i" and value >> bits - 1 else value
