"""Repeated measurements: samples, means and 95 % intervals, measured in turn so that a drifting machine cancels out."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, TypeVar

from rich.progress import Progress
from scipy.stats import t as student

Found = TypeVar("Found")
SEED = 0  # of the order within each round


@dataclass(frozen=True)
class Sample:
    """One measurement of one way of scoring.

    Attributes:
        rate: images/s.
        latency_ms: 50th, 95th and 99th percentile of single requests, or of batches in-process.
        errors: requests that were not answered with 200.
        answered: all answers, those outside the measured window too.
        load_ms: CPU time that the load generator took for each.
    """

    rate: float
    latency_ms: tuple[float, float, float] | None = None
    errors: int = 0
    answered: int = 0
    load_ms: float = 0.0


class Estimate(NamedTuple):
    """A mean and half the width of its 95 % interval (Student's t over the repeats; NaN for a single one)."""

    mean: float
    half: float

    def show(self, digits: int) -> str:
        mean = f"{self.mean:.{digits}f}"
        return mean if math.isnan(self.half) else f"{mean} ± {self.half:.{digits}f}"


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % interval of repeats."""
    if len(values) < 2 or any(map(math.isnan, values)):
        return Estimate(statistics.fmean(values), math.nan)
    spread = statistics.stdev(values) / len(values) ** 0.5
    return Estimate(statistics.fmean(values), float(student.ppf(0.975, len(values) - 1)) * spread)


def estimate_ratio(values: Sequence[float], references: Sequence[float]) -> Estimate:
    """The ratio, taken repeat by repeat; NaN to a reference that did nothing."""
    pairs = zip(values, references, strict=True)
    return estimate([value / reference if reference else math.nan for value, reference in pairs])


def estimate_difference(values: Sequence[float], references: Sequence[float]) -> Estimate:
    """The difference, taken repeat by repeat."""
    return estimate([value - reference for value, reference in zip(values, references, strict=True)])


def shuffle_rounds(names: Iterable[str]) -> Iterator[list[str]]:
    """The names in an order of its own for each round, without end, the same in every run.

    In an order that stays, drift favours the same ways always.
    """
    shuffled, names = random.Random(SEED), list(names)  # noqa: S311 (nothing secret)
    while True:
        yield shuffled.sample(names, len(names))


def measure_in_turn(
    title: str, ways: Mapping[str, Callable[[], Found]], repeats: int, warm_up: bool = True
) -> dict[str, list[Found]]:
    """What each way gives, each once a round, `repeats` rounds; a first round is thrown away with `warm_up`."""
    found: dict[str, list[Found]] = {name: [] for name in ways}
    rounds = repeats + warm_up
    with Progress(transient=True) as progress:
        task = progress.add_task(title, total=rounds * len(ways))
        for number, order in enumerate(islice(shuffle_rounds(ways), rounds)):
            for name in order:
                progress.update(task, description=f"{title}: {name}")
                sample = ways[name]()
                if number >= warm_up:
                    found[name].append(sample)
                progress.advance(task)
    return found
