"""What the server's checks see in slices, and in changes of them, without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lungct.engines import Engine
from lungct.errors import LungCTError
from lungct.gate import outline
from lungct.gate.checks import (
    OTHER_WINDOW,
    check_body,
    check_colour,
    check_resolution,
    find_doubt,
    measure_sharpness,
)
from lungct.model import ModelContract, ModelFolder, softmax, to_input
from lungct.pixels import Slice, decode
from lungct.settings import Settings, count_cores

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
Change = Callable[[UInt8], UInt8]

AHEAD = 8  # files a thread that are read before their answers are awaited: bounds the memory


class Seen(NamedTuple):
    """What the server's checks see in N pictures.

    Attributes:
        called: (N,) index of the class.
        confidence: (N,) its calibrated probability.
        sharpness, distance, lung_share: (N,).
        shaped: (N,) whether it has the shape of a chest slice.
        usual: (N,) whether it has the gray levels of the lung window.
        doubted: (N,) whether it is referred whatever the limits are.
    """

    called: Ints
    confidence: Floats
    sharpness: Floats
    distance: Floats
    lung_share: Floats
    shaped: Flags
    usual: Flags
    doubted: Flags

    def take(self, rows: Flags | slice) -> Seen:
        """Those of the pictures."""
        return Seen(*(part[rows] for part in self))


class Sight(NamedTuple):
    """One picture before the network: its input (1, S, S), and what the checks of the pixels say."""

    shown: UInt8
    sharpness: float
    lung_share: float
    shaped: bool
    warnings: tuple[str, ...]


def read(path: Path, contract: ModelContract) -> Slice:
    """A file as the server reads it; ValueError for one that it refuses."""
    try:
        return decode(path.read_bytes(), None, None, contract.window, Settings())
    except LungCTError as error:
        raise ValueError(f"{path.name}: {error.message}") from error


def check(one: Slice, contract: ModelContract) -> Sight:
    """A slice as the server prepares and checks it."""
    shown = to_input(one.pixels, contract.size, contract.geometry, contract.window.air, one.aspect)
    body = outline(shown)
    sharpness, lung_share = (measure_sharpness(shown, body), body.lung_share) if body else (0.0, 0.0)
    try:
        check_colour(one.coloured)
        warnings = (*check_body(body), *check_resolution(one.coarse))
    except LungCTError:
        return Sight(shown, sharpness, lung_share, False, ())
    return Sight(shown, sharpness, lung_share, True, warnings)


def look(folder: ModelFolder, engine: Engine, paths: Iterable[Path], changes: Mapping[str, Change]) -> dict[str, Seen]:
    """See each change of every file as the server does: in one go, because the same slice is read once.

    Raises:
        ValueError: for a folder without a gate, or a file that the server refuses.
    """
    if folder.gate is None:
        raise ValueError("The model folder has no gate, so everything is referred; there are no limits to set.")
    contract, sights = folder.contract, list[Sight]()

    def check_all(path: Path) -> list[Sight]:
        one = read(path, contract)
        return [check(replace(one, pixels=change(one.pixels)), contract) for change in changes.values()]

    def prepare() -> Iterator[UInt8]:
        left, threads = iter(paths), count_cores()
        with ThreadPoolExecutor(threads) as pool:
            while some := list(islice(left, AHEAD * threads)):
                for found in pool.map(check_all, some):
                    for sight in found:
                        sights.append(sight._replace(shown=np.empty(0, np.uint8)))  # what was shown is not kept
                        yield sight.shown

    found = engine.predict(prepare())
    probabilities = softmax(found.logits, contract.temperature)
    distance = np.array([folder.gate.measure(row) for row in found.features])
    everything = collect(sights, probabilities, distance, contract.classes)
    return {name: everything.take(slice(at, None, len(changes))) for at, name in enumerate(changes)}


def collect(sights: Sequence[Sight], probabilities: Floats, distance: Floats, classes: Sequence[str]) -> Seen:
    """N sights, their probabilities (N, C) and distances (N,) as one."""
    called = probabilities.argmax(1)
    return Seen(
        called,
        probabilities.max(1),
        np.array([one.sharpness for one in sights]),
        distance,
        np.array([one.lung_share for one in sights]),
        np.array([one.shaped for one in sights]),
        np.array([OTHER_WINDOW not in one.warnings for one in sights]),
        np.array([bool(find_doubt(one.warnings, classes[c])) for one, c in zip(sights, called, strict=True)]),
    )
