"""What position, scanner, window, dose and storage may change; the same for every class."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from lungct.window import LUNG
from lungct_tools.modelling.pasting.backgrounds import SIDE, Background

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

GRAIN = np.random.default_rng(0).standard_normal((1024, 1024), np.float32)  # drawn once: drawing costs 4 ms a slice


@dataclass(frozen=True)
class Geometry:
    """Where each pixel of the new slice is taken from, (SIDE, SIDE) float32 columns and rows."""

    x: Floats
    y: Floats

    def find(self, row: int, column: int) -> tuple[int, int]:
        """Row and column of the new slice that are taken from nearest a spot of the old one, to 8 pixels."""
        away = np.hypot(self.x[::8, ::8] - column, self.y[::8, ::8] - row)
        where = np.unravel_index(int(away.argmin()), away.shape)
        return int(where[0]) * 8, int(where[1]) * 8

    def move(self, picture: npt.NDArray[np.generic], beyond: float) -> npt.NDArray[np.generic]:
        """A picture (SIDE, SIDE) after the move; what was outside it is `beyond`."""
        return cv2.remap(picture, self.x, self.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=beyond)


def draw_geometry(rng: np.random.Generator) -> Geometry:
    """Shift, turn, scale, mirror and bend."""
    turn, scale = np.radians(rng.normal(0, 4)), np.exp(rng.uniform(-0.16, 0.16))
    stretch = np.exp(rng.uniform(-0.07, 0.07))
    c, s = np.cos(turn), np.sin(turn)
    matrix = np.array([[c, -s], [s, c]]) / scale * (stretch, 1 / stretch)
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
    if rng.random() < 0.1:
        matrix[:, 1] *= -1
    middle = (SIDE - 1) / 2
    away = middle + rng.uniform(-28, 28, 2)
    grid = 9
    points = np.linspace(0, SIDE - 1, grid) - middle
    x, y = np.meshgrid(points, points)
    bend = rng.normal(0, rng.choice([0.0, 2.0, 5.0]), (2, grid, grid))
    coarse = [matrix[i, 0] * x + matrix[i, 1] * y + away[i] + bend[i] for i in (0, 1)]
    fine = [cv2.resize(one.astype(np.float32), (64, 64), interpolation=cv2.INTER_CUBIC) for one in coarse]
    return Geometry(*(cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for one in fine))


def replace_surroundings(canvas: Floats, background: Background, other: Background, rng: np.random.Generator) -> Floats:
    """All outside the body as air, as another level, as in another slice, or as it is."""
    choice = rng.random()
    if choice < 0.45:
        return canvas
    if choice < 0.7:
        around: Floats | float = float(LUNG.air)
    elif choice < 0.8:
        around = float(rng.uniform(0, 60))
    else:
        around = np.where(other.body, LUNG.air, other.pixels).astype(np.float32)
    return np.where(background.body, canvas, around).astype(np.float32)


def change_kernel(canvas: Floats, rng: np.random.Generator) -> Floats:
    """A softer or a sharper kernel of reconstruction, with the noise that goes with it."""
    choice = rng.random()
    if choice < 0.45:
        return cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.4, 3.0))
    if choice < 0.75:
        if rng.random() < 0.6:  # before sharpening, so that it is sharpened too
            canvas = add_noise(canvas, rng.uniform(1, 7), rng)
        soft = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.7, 1.6))
        return canvas + rng.uniform(0.3, 1.8) * (canvas - soft)
    return canvas


def add_noise(canvas: Floats, deviation: float, rng: np.random.Generator) -> Floats:
    """Noise of a standard deviation in gray levels."""
    top, left = rng.integers(0, GRAIN.shape[0] - SIDE, 2)
    return canvas + GRAIN[top : top + SIDE, left : left + SIDE] * np.float32(deviation)


def change_levels(canvas: Floats, rng: np.random.Generator) -> Floats:
    """Another window's contrast and level, and a little gamma."""
    gain, shift = np.exp(rng.uniform(-0.16, 0.16)), rng.uniform(-14, 14)
    canvas = (canvas - 120) * gain + 120 + shift
    if rng.random() < 0.2:
        canvas = 255 * (np.clip(canvas, 0, 255) / 255) ** np.float32(np.exp(rng.uniform(-0.2, 0.2)))
    return canvas


def store(canvas: Floats, rng: np.random.Generator) -> Bytes:
    """Eight bits, sometimes by way of JPEG."""
    pixels = np.rint(np.clip(canvas, 0, 255)).astype(np.uint8)
    if rng.random() < 0.4:
        encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(55, 96))])[1]
        pixels = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)
    return pixels


def augment(
    canvas: Floats, background: Background, other: Background, geometry: Geometry, rng: np.random.Generator
) -> Bytes:
    """(SIDE, SIDE) float gray -> uint8: surroundings, geometry, kernel, noise, levels, storage, in this order."""
    canvas = replace_surroundings(canvas, background, other, rng)
    moved = np.asarray(geometry.move(canvas, float(LUNG.air)), np.float32)
    moved = change_kernel(moved, rng)
    if rng.random() < 0.4:
        moved = add_noise(moved, rng.uniform(1, 7), rng)
    return store(change_levels(moved, rng), rng)
