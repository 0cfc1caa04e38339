"""Which slices look alike, and which cases follow from that for data without patient ids."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Pairs = list[tuple[int, int]]

SIDE = 48
NEIGHBOURS, ANYWHERE = 0.9, 0.97  # least correlation: of slices with consecutive file numbers, and of any two


def correlate_slices(slices: list[npt.NDArray[np.uint8]]) -> Floats:
    """(N, N) Pearson correlation of the slices, each averaged to 48 x 48."""
    small = [np.asarray(Image.fromarray(s).resize((SIDE, SIDE), Image.Resampling.BOX), np.float64) for s in slices]
    flat = np.stack([s.ravel() for s in small])
    flat = (flat - flat.mean(1, keepdims=True)) / np.maximum(flat.std(1, keepdims=True), 1e-9)
    return np.asarray(flat @ flat.T / flat.shape[1])


def number_files(files: list[str]) -> Ints:
    """(N,) last number in each file name, -1 without one."""
    return np.array([int(found[-1]) if (found := re.findall(r"\d+", name)) else -1 for name in files])


def group_slices(correlation: Floats, files: list[str], labels: Ints) -> Ints:
    """(N,) pseudo-case of each slice: connected components, numbered in the order of their first slice.

    Two slices of a class with consecutive file numbers belong together over NEIGHBOURS, any two over ANYWHERE.
    """
    numbers = number_files(files)
    consecutive = (np.abs(numbers[:, None] - numbers) == 1) & (labels[:, None] == labels) & (numbers[:, None] >= 0)
    linked = (correlation > ANYWHERE) | (consecutive & (correlation > NEIGHBOURS))
    component = connected_components(coo_matrix(linked), directed=False)[1]
    return np.unique(component, return_index=True)[1].argsort().argsort()[component]


def find_copies(slices: list[npt.NDArray[np.uint8]]) -> Pairs:
    """Pairs of slices whose pixels are identical."""
    by_hash: dict[str, list[int]] = defaultdict(list)
    for row, pixels in enumerate(slices):
        by_hash[hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()].append(row)
    return [(rows[0], other) for rows in by_hash.values() for other in rows[1:]]


def find_twins(correlation: Floats, least: float = ANYWHERE) -> Pairs:
    """Pairs over a correlation, the most alike first."""
    rows, columns = np.nonzero(np.triu(correlation > least, 1))
    order = np.argsort(-correlation[rows, columns], kind="stable")
    return [(int(rows[i]), int(columns[i])) for i in order]
