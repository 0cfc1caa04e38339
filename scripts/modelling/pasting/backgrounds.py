"""Nodule-free slices to paste into, from every source at one window, each with where a nodule may lie."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from lungct.model.preprocess import to_input
from lungct.window import LUNG
from lungct_tools.modelling.dataset import NORMAL, Cases, read_slice
from lungct_tools.modelling.pasting.lungs import find_chest

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Points = npt.NDArray[np.int16]

SIDE = 512
LITTLE = 0.03  # share of the picture that is lung, under which a slice shows neck or abdomen
KEPT_OUT = 5  # every fifth case or patient, by hash
NOISIEST = 8.0  # gray levels
SPOTS = 600  # kept of each kind


@dataclass(frozen=True)
class Background:
    """A nodule-free slice.

    Attributes:
        pixels: (512, 512) uint8 at the lung window.
        body: (512, 512) skin and all within.
        room: (512, 512) uint8, pixels from here to the nearest one outside the lungs; 0 outside them.
        level: median gray level of the lungs; 0 without any.
        noise: standard deviation of the noise in the lungs, in gray levels.
        spots: (N, 2) row and column of places for a nodule, by kind: "free", "wall", "vessel", "hilum".
        group: its case or patient, by source.
        little: whether it has little lung, so that no nodule is pasted.
    """

    pixels: Bytes
    body: Flags
    room: Bytes
    level: float
    noise: float
    spots: dict[str, Points]
    group: str
    little: bool

    @property
    def source(self) -> str:
        return self.group.split(":")[0]


def is_kept_out(group: str) -> bool:
    """Whether a case or patient is for judging: one fixed split by hash, of backgrounds and nodules alike."""
    return hashlib.sha256(group.encode()).digest()[0] % KEPT_OUT == 0


def shift_window(pixels: Bytes, center: float) -> Bytes:
    """A slice that was rendered at `center` and the lung window's width, at the lung window."""
    shift = round((center - LUNG.center) * 255 / LUNG.width)
    return np.clip(pixels.astype(np.int16) + shift, 0, 255).astype(np.uint8)


def prepare(pixels: Bytes, group: str, little: bool = False, seed: int = 0) -> Background:
    """Find body, lungs and places in a slice (H, W) uint8 at the lung window; other shapes are padded to a square."""
    if pixels.shape != (SIDE, SIDE):
        pixels = to_input(pixels, SIDE, "pad", LUNG.air)[0]
    body, lungs = find_chest(pixels)
    little = little or lungs.mean() < LITTLE
    room = np.minimum(cv2.distanceTransform(lungs.astype(np.uint8), cv2.DIST_L2, 5), 255).astype(np.uint8)
    if not lungs.any():
        return Background(pixels, body, room, 0.0, 0.0, {}, group, little)
    level = float(np.median(pixels[lungs]))
    fine = cv2.Laplacian(pixels, cv2.CV_32F)[(room > 4) & (pixels < level + 25)]
    noise = float(np.median(np.abs(fine)) / 0.6745 / np.sqrt(20)) if fine.size else 0.0  # the Laplacian's own gain
    noise = min(noise, NOISIEST)  # a sharp kernel's noise is no white noise, and the Laplacian overrates it
    columns = np.flatnonzero(body.any(0))
    middle, width = columns.mean(), np.ptp(columns)
    border = (room > 0) & (room < 2)
    inner = np.abs(np.arange(SIDE) - middle)[None] < 0.17 * width
    bright = cv2.GaussianBlur(pixels, (0, 0), 1.5) > level + 50
    where = {
        "free": room > 8,
        "wall": border & ~inner,
        "vessel": bright & (room > 8),
        "hilum": border & inner,
    }
    rng = np.random.default_rng(seed)
    spots = {}
    for kind, mask in where.items():
        found = np.argwhere(mask).astype(np.int16)
        if len(found):
            spots[kind] = found[rng.permutation(len(found))[:SPOTS]]
    return Background(pixels, body, room, level, noise, spots, group, little)


def name_case(case: int) -> str:
    """The group of a case of a cases.csv."""
    return f"iq:{case}"


def name_patient(row: Mapping[str, str]) -> str:
    """The group of a slice of lidc_clear, by its row of slices.csv."""
    return f"clear:{row['patient']}"


def take_normal(cases: Cases) -> Iterable[Background]:
    """The normal slices of a cases.csv."""
    for row in np.flatnonzero(cases.labels == NORMAL):
        yield prepare(cases.slices[row], name_case(int(cases.groups[row])))


def read_clear(folder: Path) -> Iterable[Background]:
    """The slices of a folder with slices.csv: file, patient, window (centre first), level."""
    with (folder / "slices.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            center = float(row["window"].split(",")[0])
            pixels = shift_window(read_slice(folder / row["file"]), center)
            yield prepare(pixels, name_patient(row), row["level"] == "little lung")


def draw_weights(backgrounds: list[Background]) -> npt.NDArray[np.float64]:
    """Chance (N,) of each background: sources alike, groups by the square root of their slices."""
    groups, counts = np.unique([one.group for one in backgrounds], return_counts=True)
    share = dict(zip(groups, counts**-0.5, strict=True))
    weights = np.array([share[one.group] for one in backgrounds])
    sources = np.array([one.source for one in backgrounds])
    for source in np.unique(sources):
        weights[sources == source] /= weights[sources == source].sum()
    return weights / weights.sum()
