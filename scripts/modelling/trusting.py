"""How far a model may trust a slice: limits under which no worse copy of a referred slice is reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from lungct.engines import Engine
from lungct.errors import LungCTError
from lungct.gate.body import outline
from lungct.gate.checks import (
    FARTHER,
    OTHER_WINDOW,
    check_body,
    check_colour,
    check_resolution,
    find_doubt,
    measure_sharpness,
)
from lungct.model import ModelFolder, softmax, to_input
from lungct.pixels import Slice
from lungct_tools.modelling.gatekeeping import REFUSE_SHARE

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]

SHARPER = (1.0, 1.05, 1.1, 1.2, 1.35, 1.5)  # times the sharpness that a folder asks for
NEARER = (1.0, 0.95, 0.9, 0.85, 0.8)  # times the distance that it allows
SURER = 25  # confidences tried between its limit and 1
NEVER = 2.0  # a confidence that is not reached
# So much under the limits a copy must stay on the half that sets them: other slices are not just like these.
MARGINS = (0.97, 1.03, 0.03)
LUNG = 0.10  # lung_share from which a slice must not be refused


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

    def take(self, rows: Flags) -> Seen:
        """Those of the pictures."""
        return Seen(*(part[rows] for part in self))


class Limits(NamedTuple):
    """From which sharpness, up to which distance, and from which confidence of each class (C,) a slice is reported."""

    sharpness: float
    distance: float
    below: Floats

    def report(self, seen: Seen) -> Flags:
        """(N,) whether each picture is reported."""
        near = seen.shaped & ~seen.doubted & (seen.sharpness >= self.sharpness) & (seen.distance <= self.distance)
        return near & (seen.confidence >= self.below[seen.called])

    def loosen(self) -> Limits:
        """Limits that a little more passes."""
        sharpness, distance, confidence = MARGINS
        return Limits(self.sharpness * sharpness, self.distance * distance, self.below - confidence)


def look(folder: ModelFolder, engine: Engine, slices: Iterable[Slice]) -> Seen:
    """See slices as the server does; ValueError for a folder without a gate."""
    if folder.gate is None:
        raise ValueError("The model folder has no gate, so everything is referred; there are no limits to set.")
    contract, rows = folder.contract, []

    def prepare() -> Iterator[UInt8]:
        for one in slices:
            shown = to_input(one.pixels, contract.size, contract.geometry, contract.window.air, one.aspect)
            body = outline(shown)
            try:
                check_colour(one.coloured)
                warnings, shaped = (*check_body(body), *check_resolution(one.resampled or one.pixels.shape)), True
            except LungCTError:
                warnings, shaped = (), False
            sharpness = measure_sharpness(shown, body) if body else 0.0
            rows.append((sharpness, body.lung_share if body else 0.0, shaped, warnings))
            yield shown

    found = engine.predict(prepare())
    probabilities = softmax(found.logits, contract.temperature)
    called = probabilities.argmax(1)
    sharpness, lung_share, shaped, warnings = zip(*rows, strict=True)
    return Seen(
        called,
        probabilities.max(1),
        np.array(sharpness),
        np.array([folder.gate.measure(row) for row in found.features]),
        np.array(lung_share),
        np.array(shaped),
        np.array([OTHER_WINDOW not in some for some in warnings]),
        np.array([bool(find_doubt(some, contract.classes[c])) for some, c in zip(warnings, called, strict=True)]),
    )


def find_risen(slices: Seen, copies: Seen, limits: Limits, loosely: bool = False) -> Flags:
    """(N,) whether each copy is reported though its slice is referred; loosely: or nearly is."""
    return (limits.loosen() if loosely else limits).report(copies) & ~limits.report(slices)


def choose_limits(slices: Seen, copies: Sequence[Seen], start: Limits) -> Limits:
    """The limits, none looser than `start`, under which no copy rises and most slices are reported."""
    best, most = Limits(start.sharpness, start.distance, np.full_like(start.below, NEVER)), 0
    for sharper in SHARPER:
        for nearer in NEARER:
            limits = Limits(start.sharpness * sharper, start.distance * nearer, start.below.copy())
            limits = raise_confidence(slices, copies, limits)
            reported = int(limits.report(slices).sum())
            if reported > most:
                best, most = limits, reported
    return Limits(round(best.sharpness, 3), round(best.distance, 3), np.round(best.below, 3))


def raise_confidence(slices: Seen, copies: Sequence[Seen], limits: Limits) -> Limits:
    """The limits with the confidence of each class raised until no copy that is called so rises."""
    for index, least in enumerate(limits.below):
        for tried in (*np.linspace(min(least, NEVER), 1.0, SURER), NEVER) if least <= 1 else ():
            limits.below[index] = tried
            if not any(
                (find_risen(slices, some, limits, loosely=True) & (some.called == index)).any() for some in copies
            ):
                break
    return limits


def choose_refusal(seen: Sequence[Seen], start: float) -> float:
    """`refuse_above`, `start` or more, for slices and crops: few that have lungs lie so far that they are refused."""
    distances = np.concatenate([some.distance[some.shaped & some.usual & (some.lung_share >= LUNG)] for some in seen])
    return round(max(start, float(np.quantile(distances, 1 - REFUSE_SHARE)) / FARTHER), 3)


def count_risen(slices: Seen, copies: Mapping[str, Seen], limits: Limits, malignant: int) -> dict[str, dict[str, Any]]:
    """For each kind of copy, and all: referred slices, how many are reported as a copy, and how many as Malignant."""
    referred = int((~limits.report(slices)).sum())
    found = {}
    for name, some in copies.items():
        risen = find_risen(slices, some, limits)
        found[name] = count(int(risen.sum()), referred) | {"malignant": int((risen & (some.called == malignant)).sum())}
    everything = count(sum(row["count"] for row in found.values()), referred * len(copies))
    return found | {"all": everything | {"malignant": sum(row["malignant"] for row in found.values())}}


def count_refused(seen: Seen, refuse_above: float, least_lung: float = LUNG) -> dict[str, Any]:
    """How many pictures with so much lung are refused."""
    rows, farthest = seen.lung_share >= least_lung, refuse_above * np.where(seen.usual, FARTHER, 1)
    return count(int((rows & ~(seen.shaped & (seen.distance <= farthest))).sum()), int(rows.sum()))


def count(some: int, of: int) -> dict[str, Any]:
    """A count with the exact upper bound of its share (Clopper & Pearson 1934), one-sided at 95 %."""
    bound = float(beta.ppf(0.95, some + 1, of - some)) if some < of else 1.0
    return {"count": some, "of": of, "at_most": round(bound, 5)}
