"""What is pasted or drawn in all classes alike, so that neither an edge of a paste nor a line nor fluid is a sign."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lungct_tools.modelling.pasting.backgrounds import SIDE, Background
from lungct_tools.modelling.pasting.blending import crop
from lungct_tools.modelling.pasting.nodules import Patch
from lungct_tools.modelling.pasting.placement import Place

Floats = npt.NDArray[np.float32]

TISSUE = 205.0  # gray of soft tissue, about -40 HU with fat in it
BRIGHTEST = 40.0  # gray levels over the lung that a control may have on average, or it would be a nodule


def take_patch(source: Background, shape: Patch, rng: np.random.Generator, at_vessel: bool) -> Patch | None:
    """Nodule-free lung of `source` in the outline of a nodule; None where the spot drawn will not do."""
    spots = source.spots.get("vessel" if at_vessel else "free")
    if spots is None:
        return None
    row, column = spots[rng.integers(len(spots))]
    half = len(shape.gray) // 2
    here, _ = crop(source.pixels, int(row), int(column), half)
    gray = source.pixels[here].astype(np.float32)
    if gray.shape != shape.gray.shape or (source.room[here][shape.alpha > 0.5] == 0).any():
        return None
    if (gray * shape.alpha).sum() / shape.alpha.sum() > source.level + BRIGHTEST:
        return None
    return Patch(gray, shape.alpha, shape.radius, source.level)


def draw_lines(canvas: Floats, room: npt.NDArray[np.uint8], row: int, column: int, rng: np.random.Generator) -> None:
    """Vessels that cross, or a scar, through a spot in a lung, in place: one to three bent lines of 1 to 4 pixels."""
    sheet = np.zeros(canvas.shape, np.uint8)
    for _ in range(rng.integers(1, 4)):
        turn, length = rng.uniform(0, np.pi), rng.uniform(12, 45)
        t = np.linspace(-length, length, 9)[:, None]
        bend = rng.normal(0, 0.004) * t**2
        along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        points = np.rint(((column, row) + t * along + bend * across) * 8).astype(np.int32)
        gray, thick = int(rng.uniform(90, 220)), int(rng.integers(1, 5))
        cv2.polylines(sheet, [points[:, None]], False, gray, thick, cv2.LINE_AA, 3)
    y, x = slice(max(0, row - 60), row + 61), slice(max(0, column - 60), column + 61)
    lines = cv2.GaussianBlur(sheet[y, x], (0, 0), 0.8) * (room[y, x] > 0) * (TISSUE / 255)
    canvas[y, x] = np.maximum(canvas[y, x], lines.astype(np.float32))


def draw_disease(canvas: Floats, background: Background, place: Place, rng: np.random.Generator) -> None:
    """Fluid behind the lung, or a collapsed part of it, in the lung that `place` is not in; in place."""
    right = place.column < SIDE / 2
    columns = np.arange(SIDE)
    lung = (background.room > 0) & ((columns >= SIDE / 2) == right)[None]
    rows = np.flatnonzero(lung.any(1))
    if len(rows) < 30:
        return
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    if rng.random() < 0.5:  # fluid: level in the middle of its surface, climbing at the walls
        middle = float(columns[lung.any(0)].mean())
        surface = rows[-1] - rng.uniform(0.1, 0.5) * np.ptp(rows) - rng.uniform(0, 0.006) * (x - middle) ** 2
        filled = lung & (y > surface)
    else:  # collapse: all on one side of a line
        turn, spots = rng.uniform(0, 2 * np.pi), np.argwhere(lung)
        row, column = spots[rng.integers(len(spots))]
        filled = lung & ((y - row) * np.sin(turn) + (x - column) * np.cos(turn) > 0)
        if filled.sum() > 0.45 * lung.sum():
            filled = lung & ~filled
    share = cv2.GaussianBlur(filled.astype(np.float32), (0, 0), rng.uniform(1.0, 2.5))
    gray = rng.uniform(208, 222)
    canvas += share * np.maximum(gray - canvas, 0)
