"""Where a nodule goes: a spot that is drawn before anybody knows its class, and whether there is room."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lungct_tools.modelling.pasting.backgrounds import Background

KINDS = {"free": 0.45, "wall": 0.25, "vessel": 0.17, "hilum": 0.13}  # chance of each
INSIDE = 0.55  # share of a nodule's disc that has to be lung where it touches wall or hilum
MASS, MASS_INSIDE = 16.0, 0.35  # of discs of so many pixels and more: masses grow out of hilum and wall


class Place(NamedTuple):
    """A spot before any nodule: row and column, what it is, and how deep a nodule sits in the wall there.

    Attributes:
        depth: of its middle from the wall, in radii; 0 where the kind is not at a wall.
    """

    row: int
    column: int
    kind: str
    depth: float


def draw_place(background: Background, rng: np.random.Generator) -> Place | None:
    """A place of a drawn kind; None where the background has none of that kind."""
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    spots, depth = background.spots.get(kind), float(rng.uniform(0.3, 0.9))
    if spots is None:
        return None
    row, column = spots[rng.integers(len(spots))]
    return Place(int(row), int(column), kind, depth if kind in ("wall", "hilum") else 0.0)


def settle(background: Background, place: Place, radius: float) -> tuple[int, int] | None:
    """Row and column of the middle of a nodule of `radius` pixels at a place; None where it has no room."""
    room = background.room
    if not place.depth:
        least = radius + 1 if place.kind == "free" else 0.6 * radius
        return (place.row, place.column) if room[place.row, place.column] >= least else None
    reach = 10
    top, left = max(0, place.row - reach), max(0, place.column - reach)
    near = (room[top : place.row + reach + 1, left : place.column + reach + 1] > 0).astype(np.float32)
    y, x = np.mgrid[: near.shape[0], : near.shape[1]]
    inward = np.array([((y + top - place.row) * near).sum(), ((x + left - place.column) * near).sum()])
    inward /= max(float(np.hypot(*inward)), 1e-6)
    row, column = np.rint((place.row, place.column) + inward * place.depth * radius).astype(int)
    half = int(np.ceil(radius))
    if not (half <= row < room.shape[0] - half and half <= column < room.shape[1] - half):
        return None
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    disc = np.hypot(y, x) <= radius
    wanted = MASS_INSIDE if radius >= MASS else INSIDE
    inside = (room[row - half : row + half + 1, column - half : column + half + 1] > 0)[disc].mean()
    return (int(row), int(column)) if room[row, column] and inside >= wanted else None
