"""The slices of a batch as they come out of decoding, one by one, while the network computes others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import numpy.typing as npt

from lungct.errors import LungCTError
from lungct.exchange import ScoreRequest
from lungct.gate import Body
from lungct.pixels import Slice


@dataclass(frozen=True)
class Prepared:
    """A decoded request, ready for the network."""

    request: ScoreRequest
    slice: Slice
    input: npt.NDArray[np.uint8]  # (1, S, S)
    body: Body | None
    warnings: tuple[str, ...]


class Arrivals:
    """Hands the engine each input of a batch as soon as it is decoded; keeps every item, those that failed too."""

    def __init__(self, prepared: Iterator[Prepared | LungCTError]) -> None:
        self.items: list[Prepared | LungCTError] = []
        self.waited = 0.0  # seconds that the engine waited for decoding
        self._prepared = prepared

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        while True:
            asked = perf_counter()
            item = next(self._prepared, None)
            self.waited += perf_counter() - asked
            if item is None:
                return
            self.items.append(item)
            if isinstance(item, Prepared):
                yield item.input

    def finish(self) -> None:
        """Keep what nobody draws any more."""
        self.items += self._prepared
