"""Nodules that readers marked: crops in HU with their contours, turned and scaled for pasting."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from lungct.window import LUNG

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

PIXEL_MM = 0.70  # taken for every background: none of them says its own
LABELS = ("benign", "malignant")
ENLARGED = 1.8  # from this scale on a nodule is a mass: enlarging has blurred it, and masses are solid
MASS_GRAY = 216.0  # of a mass, about 20 HU
HALO = 2  # pixels round the contour that are pasted too: the nodule's own edge


class Patch(NamedTuple):
    """What is pasted.

    Attributes:
        gray: (P, P) float32 at the lung window, not clipped.
        alpha: (P, P) float32, 1 inside, soft at the edge.
        radius: of the contour, in pixels: its furthest point from the middle.
        level: gray level of the lung that it came from.
    """

    gray: Floats
    alpha: Floats
    radius: float
    level: float


@dataclass(frozen=True)
class Nodules:
    """A collection of nodules, all arrays in row order.

    Attributes:
        hu: (N, K, K) int16 at native pixels, contour centred.
        masks: (N, K, K) uint8 contours.
        labels: (N,) 0 benign, 1 malignant, by the readers' median suspicion.
        patients: (N,) str.
        diameters: (N,) mm.
        pixels: (N,) mm a pixel.
        radii: (N,) furthest point of the contour from the middle, in mm.
    """

    hu: npt.NDArray[np.int16]
    masks: npt.NDArray[np.uint8]
    labels: Ints
    patients: npt.NDArray[np.str_]
    diameters: npt.NDArray[np.float64]
    pixels: npt.NDArray[np.float64]
    radii: npt.NDArray[np.float64]

    def select(self, rows: npt.NDArray[np.bool_]) -> Nodules:
        """The nodules where `rows` (N,) is True."""
        return Nodules(**{name: array[rows] for name, array in vars(self).items()})

    def cut(self, row: int, scale: float, angle: float = 0.0, mirrored: bool = False) -> Patch:
        """One nodule at PIXEL_MM times `scale`, turned by `angle` in radians; enlarged ones are all tissue."""
        factor = self.pixels[row] / PIXEL_MM * scale
        radius = self.radii[row] / PIXEL_MM * scale
        half = int(np.ceil(radius + (HALO + 2) * factor + 3))
        c, s = np.cos(angle) / factor, np.sin(angle) / factor
        turn = np.array([[-c if mirrored else c, -s], [-s if mirrored else s, c]])
        middle = (self.hu.shape[1] - 1) / 2
        matrix = np.column_stack([turn, middle - turn @ (half, half)])

        def warp(source: Floats, flags: int, beyond: int) -> Floats:
            side = (2 * half + 1, 2 * half + 1)
            return cv2.warpAffine(source, matrix, side, flags=flags | cv2.WARP_INVERSE_MAP, borderMode=beyond)

        hu, mask = self.hu[row].astype(np.float32), self.masks[row]
        grown = cv2.dilate(mask, np.ones((2 * HALO + 1, 2 * HALO + 1), np.uint8)).astype(np.float32)
        around = hu[(grown == 0) & (hu < -600) & (hu > -1000)]
        level = float(np.median(around)) if around.size else -850.0
        gray, level = (
            (some - (LUNG.center - LUNG.width / 2)) * (255 / LUNG.width)
            for some in (warp(hu, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE), level)
        )
        if scale >= ENLARGED:
            tissue = np.clip((gray - level) / (MASS_GRAY - level) * 2 - 0.3, 0, 1)
            gray = level + tissue * (MASS_GRAY - level)
        alpha = cv2.GaussianBlur(warp(grown, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT), (0, 0), max(1.0, 0.8 * factor))
        return Patch(gray, alpha, float(radius), level)


def read_nodules(folder: Path) -> Nodules:
    """The nodules of a folder with nodules.npz (`hu`, `mask`) and nodules.csv.

    nodules.csv has row, patient, label ("benign", "malignant"), diameter_mm and pixel_mm for each.

    Raises:
        OSError, KeyError, ValueError: a file, an array or a column is missing, or a label is another one.
    """
    with np.load(folder / "nodules.npz") as stored:
        hu, masks = stored["hu"], stored["mask"].astype(np.uint8)
    with (folder / "nodules.csv").open(newline="") as stream:
        rows = sorted(csv.DictReader(stream), key=lambda row: int(row["row"]))
    if not len(rows) == len(hu) == len(masks):
        raise ValueError(f"{folder} has {len(rows)} rows, {len(hu)} crops and {len(masks)} contours.")
    pixels = np.array([float(row["pixel_mm"]) for row in rows])
    y, x = np.mgrid[: hu.shape[1], : hu.shape[2]] - (hu.shape[1] - 1) / 2
    reach = np.where(masks > 0, np.hypot(y, x), 0).max((1, 2))
    return Nodules(
        hu,
        masks,
        np.array([LABELS.index(row["label"].lower()) for row in rows], np.int64),
        np.array([row["patient"] for row in rows]),
        np.array([float(row["diameter_mm"]) for row in rows]),
        pixels,
        reach * pixels,
    )
