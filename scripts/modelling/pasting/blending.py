"""Patches into slices: vessels and walls stay on top, and the lung round a nodule keeps the slice's own level."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lungct_tools.modelling.pasting.nodules import Patch

Floats = npt.NDArray[np.float32]

LUNG_TOP, TISSUE_FROM = 100.0, 150.0  # gray: what is darker gives way to a patch, what is brighter stays where brighter
SOLID_OVER = 130.0  # gray levels over the lung at which a patch is all tissue and keeps its own level


def crop(canvas: npt.NDArray[np.generic], row: int, column: int, half: int) -> tuple[tuple[slice, slice], ...]:
    """Slices of a canvas (H, W) round a middle and of the (2 half + 1) square that fall on each other."""
    first = np.array([row - half, column - half])
    low, high = np.maximum(first, 0), np.minimum(first + 2 * half + 1, canvas.shape)
    here = tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
    there = tuple(slice(a, max(a, b)) for a, b in zip(low - first, high - first, strict=True))
    return here, there  # type: ignore[return-value]  # both are pairs


def blend(
    canvas: Floats, patch: Patch, row: int, column: int, level: float, noise: float, rng: np.random.Generator
) -> Floats:
    """Paste a patch into `canvas` (H, W) float gray in place; return its alpha (H, W) there, 0 elsewhere.

    Args:
        level: gray level of the lungs of the slice; the patch's lung is brought to it.
        noise: standard deviation of the slice's noise, which an enlarged patch has lost.
    """
    here, there = crop(canvas, row, column, len(patch.gray) // 2)
    under, gray, alpha = canvas[here], patch.gray[there], patch.alpha[there]
    solid = np.clip((gray - patch.level) / SOLID_OVER, 0, 1)
    gray = gray + (level - patch.level) * (1 - solid) + rng.standard_normal(gray.shape, np.float32) * noise * 0.7
    mixed = under + alpha * (gray - under)
    keep = np.clip((under - LUNG_TOP) / (TISSUE_FROM - LUNG_TOP), 0, 1)
    canvas[here] = mixed + keep * np.maximum(under - mixed, 0)
    placed = np.zeros(canvas.shape, np.float32)
    placed[here] = alpha
    return placed
