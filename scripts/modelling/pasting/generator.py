"""Training images: background, place and nodules of both classes are drawn first, the class last."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from lungct.model.preprocess import to_input
from lungct.window import LUNG
from lungct_tools.modelling.dataset import BENIGN, CLASSES, NORMAL
from lungct_tools.modelling.pasting.augmentation import augment, draw_geometry
from lungct_tools.modelling.pasting.backgrounds import SIDE, Background, draw_weights
from lungct_tools.modelling.pasting.blending import blend
from lungct_tools.modelling.pasting.controls import draw_disease, draw_lines, take_patch
from lungct_tools.modelling.pasting.nodules import PIXEL_MM, Nodules, Patch
from lungct_tools.modelling.pasting.placement import Place, draw_place, settle
from lungct_tools.modelling.pasting.settings import Settings

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

TRIES = 200
APART = 50  # pixels between the middle of a second nodule and the first
TILE, CELL = 4, 8  # pixels of a network input that a view may start at; tiles of a cell of the evidence


class Sample(NamedTuple):
    """One training image.

    Attributes:
        pixels: (1, V, V) uint8 network input, or the part of it that is shown.
        label: index in CLASSES.
        shares: (C, V / 32, V / 32) float32, share of each cell that nodules of a class cover; 0 for Normal.
        row: of the nodule that gave the class, -1 without one.
        diameter: of it as pasted, in mm; 0 without one.
        background: row of the background.
    """

    pixels: Bytes
    label: int
    shares: Floats
    row: int
    diameter: float
    background: int


class Drawn(NamedTuple):
    """A nodule before its class is known to matter: what it looks like and where it would lie."""

    row: int
    patch: Patch
    middle: tuple[int, int]
    diameter: float


class Generator:
    """Images by number: the same seed and number give the same image, in any order and process."""

    def __init__(self, backgrounds: list[Background], nodules: Nodules, settings: Settings, seed: int) -> None:
        """Both collections are read only.

        Raises:
            ValueError: no background has lung to paste into, or nodules of a class are missing.
        """
        self.backgrounds, self.nodules, self.settings, self.seed = backgrounds, nodules, settings, seed
        self._open = np.array([i for i, one in enumerate(backgrounds) if not one.little], np.int64)
        self._little = np.array([i for i, one in enumerate(backgrounds) if one.little], np.int64)
        self._rows = [np.flatnonzero(nodules.labels == label) for label in (0, 1)]
        if not len(self._open) or not all(len(rows) for rows in self._rows):
            raise ValueError("Pasting needs slices with lung in them and nodules of both classes.")
        self._weights = draw_weights([backgrounds[i] for i in self._open])
        self._chances = [self._weigh(rows, label) for label, rows in enumerate(self._rows)]

    def _weigh(self, rows: npt.NDArray[np.int64], label: int) -> npt.NDArray[np.float64]:
        """Chance of each nodule: patients alike; large benign and small malignant ones more often, by `level`."""
        patients, counts = np.unique(self.nodules.patients[rows], return_counts=True)
        share = dict(zip(patients, 1 / counts, strict=True))
        weights = np.array([share[patient] for patient in self.nodules.patients[rows]])
        ratio = self.nodules.diameters[rows] / 10
        weights *= np.clip(ratio, 0.4, 2.5) ** (self.settings.level * (1 if label == 0 else -1))
        return weights / weights.sum()

    def _draw_nodule(self, label: int, rng: np.random.Generator) -> tuple[int, float, float, bool]:
        """Row, scale, angle and mirroring of a nodule of a class."""
        row = int(rng.choice(self._rows[label], p=self._chances[label]))
        scale = float(np.exp(rng.uniform(-0.6, 1) * np.log(self.settings.scale)))
        chance, diameter = rng.random(), self.nodules.diameters[row]
        if label == 1 and chance < self.settings.masses:
            scale = max(scale, rng.uniform(22, 80) / diameter)
        elif label == 0 and chance < self.settings.grown:
            scale *= rng.uniform(1.2, 2.0)
        return row, scale, float(rng.uniform(0, 2 * np.pi)), bool(rng.random() < 0.5)

    def _draw_scene(self, rng: np.random.Generator) -> tuple[int, Place, list[Drawn]]:
        """A background and a place with room for a nodule of either class, both nodules drawn."""
        for _ in range(TRIES):
            index = int(rng.choice(self._open, p=self._weights))
            place = draw_place(self.backgrounds[index], rng)
            drawn = [self._draw_nodule(label, rng) for label in (0, 1)]
            if place is None:
                continue
            nodules = []
            for row, scale, angle, mirrored in drawn:
                middle = settle(self.backgrounds[index], place, float(self.nodules.radii[row]) / PIXEL_MM * scale)
                if middle is None:
                    break
                patch = self.nodules.cut(row, scale, angle, mirrored)
                nodules.append(Drawn(row, patch, middle, float(self.nodules.diameters[row]) * scale))
            else:
                return index, place, nodules
        raise ValueError("No place has room for these nodules.")

    def __getitem__(self, number: int) -> Sample:
        """The image of a number, 0 or more."""
        rng = np.random.default_rng([self.seed, number])
        chosen = self.settings
        if len(self._little) and rng.random() < chosen.little:
            return self._make_little(rng)
        index, place, nodules = self._draw_scene(rng)
        background, other = self.backgrounds[index], self.backgrounds[int(rng.choice(self._open))]
        canvas = background.pixels.astype(np.float32)
        if rng.random() < chosen.disease:
            draw_disease(canvas, background, place, rng)
        if rng.random() < chosen.lines:
            row, column = self._draw_spot(background, rng)
            draw_lines(canvas, background.room, row, column, rng)
        # Every draw up to here, and from the geometry on, is made before or apart from the class.
        after = np.random.default_rng([self.seed, number, 1])
        label = int(rng.integers(len(CLASSES)))
        if rng.random() < chosen.controls[0 if label == NORMAL else 1] and chosen.pasting:
            self._paste_control(canvas, background, nodules[int(rng.integers(2))].patch, rng)
        shares = np.zeros((len(CLASSES), SIDE, SIDE), np.float32)
        if label != NORMAL and chosen.pasting:
            self._paste(canvas, shares, background, nodules[label], label, rng)
            if rng.random() < chosen.second:
                self._paste_second(canvas, shares, background, label, rng)
        spot = (place.row, place.column)
        pixels, cells = self._finish(canvas, shares, background, other, spot, after)
        here = nodules[label] if label != NORMAL else None
        row, diameter = (here.row, here.diameter) if here else (-1, 0.0)
        return Sample(pixels, label, cells, row, diameter, index)

    def _make_little(self, rng: np.random.Generator) -> Sample:
        index = int(rng.choice(self._little))
        background, other = self.backgrounds[index], self.backgrounds[int(rng.choice(self._open))]
        shares = np.zeros((len(CLASSES), SIDE, SIDE), np.float32)
        spot = tuple(int(i) for i in rng.integers(0, SIDE, 2))
        pixels, cells = self._finish(background.pixels.astype(np.float32), shares, background, other, spot, rng)
        return Sample(pixels, NORMAL, cells, -1, 0.0, index)

    def _draw_spot(self, background: Background, rng: np.random.Generator) -> tuple[int, int]:
        spots = background.spots["free"]
        row, column = spots[rng.integers(len(spots))]
        return int(row), int(column)

    def _paste(
        self, canvas: Floats, shares: Floats, background: Background, drawn: Drawn, label: int, rng: np.random.Generator
    ) -> None:
        alpha = blend(canvas, drawn.patch, *drawn.middle, background.level, background.noise, rng)
        shares[label] = np.maximum(shares[label], alpha > 0.5)

    def _paste_second(
        self, canvas: Floats, shares: Floats, background: Background, label: int, rng: np.random.Generator
    ) -> None:
        """Another nodule, benign or of the same class, away from the first."""
        kind = label if rng.random() < 0.5 else BENIGN
        row, scale, angle, mirrored = self._draw_nodule(0 if kind == BENIGN else 1, rng)
        place = draw_place(background, rng)
        middle = place and settle(background, place, float(self.nodules.radii[row]) / PIXEL_MM * scale)
        if not middle:
            return
        rows, columns = (slice(max(0, at - APART), at + APART + 1) for at in middle)
        if not shares[:, rows, columns].any():
            patch = self.nodules.cut(row, scale, angle, mirrored)
            self._paste(canvas, shares, background, Drawn(row, patch, middle, 0.0), kind, rng)

    def _paste_control(self, canvas: Floats, background: Background, shape: Patch, rng: np.random.Generator) -> None:
        """Lung of another slice, half of the time with a vessel in it, where there is room for it."""
        source = self.backgrounds[int(rng.choice(self._open, p=self._weights))]
        patch = take_patch(source, shape, rng, bool(rng.random() < 0.5))
        row, column = self._draw_spot(background, rng)
        if patch and background.room[row, column] >= shape.radius:
            blend(canvas, patch, row, column, background.level, 0.0, rng)

    def _finish(
        self,
        canvas: Floats,
        shares: Floats,
        background: Background,
        other: Background,
        spot: tuple[int, int],
        rng: np.random.Generator,
    ) -> tuple[Bytes, Floats]:
        """Network input and shares after augmentation, cut to the view round `spot`."""
        size, view = self.settings.size, self.settings.view
        if self.settings.augmented:
            geometry = draw_geometry(rng)
            pixels = augment(canvas, background, other, geometry, rng)
            shares = np.stack([geometry.move(one, 0) if one.any() else one for one in shares])
            spot = geometry.find(*spot)
        else:
            pixels = np.rint(np.clip(canvas, 0, 255)).astype(np.uint8)
        tiles = size // TILE
        fine = [
            cv2.resize(one, (tiles, tiles), interpolation=cv2.INTER_AREA) if one.any() else one[:tiles, :tiles]
            for one in shares
        ]
        reach = view / size / 2 * 0.8  # of the picture: the spot lies inside the view, not at its edge
        first = [
            int(np.clip(at / SIDE + rng.uniform(-reach, reach) - view / size / 2, 0, 1 - view / size) * tiles)
            for at in spot
        ]
        top, left = first
        side = view // TILE
        cut = np.stack(fine)[:, top : top + side, left : left + side]
        cells = cut.reshape(len(CLASSES), side // CELL, CELL, side // CELL, CELL).mean((2, 4))
        shown = to_input(pixels, size, "pad", LUNG.air)
        return shown[:, top * TILE : top * TILE + view, left * TILE : left * TILE + view], cells
