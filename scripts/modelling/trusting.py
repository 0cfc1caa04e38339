"""How far a model may trust a slice: limits under which no worse copy of a referred slice is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import beta

from lungct.gate.checks import FARTHER
from lungct_tools.modelling.decision import LEAST_SUPPORT, NEVER
from lungct_tools.modelling.sights import Flags, Floats, Ints, Seen

SHARPER = (1.0, 1.05, 1.1, 1.2, 1.35, 1.5)  # times the sharpness that a folder asks for
NEARER = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)  # times the distance that it allows
TRIED = 101  # confidences of a class
LUNG = 0.10  # lung_share from which a slice must not be refused
REFUSED = 0.01  # share of such slices, and of crops of them, that may be
RISEN = 0.01  # share of the referred slices of which a copy may be reported; none of them as Malignant


class Margin(NamedTuple):
    """How far under the limits the copies must stay that set them, as other slices are not just like these.

    Attributes:
        sharpness, distance: times the limit.
        odds: of being right, over those that a class is reported from.
    """

    sharpness: float
    distance: float
    odds: float


MARGINS = (Margin(1.0, 1.0, 1.0), Margin(0.97, 1.03, 1.25), Margin(0.95, 1.05, 2.0), Margin(0.9, 1.1, 4.0))


class Limits(NamedTuple):
    """From which sharpness, up to which distance, and from which confidence of each class (C,) a slice is reported."""

    sharpness: float
    distance: float
    below: Floats

    def report(self, seen: Seen) -> Flags:
        """(N,) whether each picture is reported."""
        return self.trust(seen) & (seen.confidence >= self.below[seen.called])

    def trust(self, seen: Seen, margin: Margin = MARGINS[0]) -> Flags:
        """(N,) whether each picture would be reported if the network were sure of it."""
        near = (seen.sharpness >= self.sharpness * margin.sharpness) & (
            seen.distance <= self.distance * margin.distance
        )
        return seen.shaped & ~seen.doubted & near


def find_risen(slices: Seen, copies: Seen, limits: Limits) -> Flags:
    """(N,) whether each copy is reported though its slice is referred."""
    return limits.report(copies) & ~limits.report(slices)


def choose_limits(
    slices: Seen, copies: Sequence[Seen], start: Limits, folds: Ints, malignant: int, support: int = LEAST_SUPPORT
) -> Limits:
    """The limits, none looser than `start`, under which no copy rises and most slices are reported.

    How far the copies must stay under them is the least margin with which limits that are chosen on one of the two
    `folds` (N,) keep the promise of RISEN on the other. Where none does, or fewer than `support` slices would be
    reported, which prove nothing, nothing is, and what counts as unlike the training stays as it was.
    """

    def choose(rows: Flags, margin: Margin) -> Limits:
        return choose_by(slices.take(rows), [some.take(rows) for some in copies], start, margin)

    def holds(fold: int, margin: Margin) -> bool:
        here = folds == fold
        chosen, there = choose(~here, margin), slices.take(here)
        risen = [(some, find_risen(there, some, chosen)) for some in (some.take(here) for some in copies)]
        share = np.logical_or.reduce([rows for _, rows in risen]).sum() / max(1, (~chosen.report(there)).sum())
        return share <= RISEN and not any((rows & (some.called == malignant)).any() for some, rows in risen)

    for margin in MARGINS:
        if holds(0, margin) and holds(1, margin):
            found = choose(np.ones(len(folds), bool), margin)
            if found.report(slices).sum() >= support:
                return found
            break
    return Limits(start.sharpness, start.distance, np.full_like(start.below, NEVER))


def choose_by(slices: Seen, copies: Sequence[Seen], start: Limits, margin: Margin) -> Limits:
    """The limits for one margin."""
    best, most = Limits(start.sharpness, start.distance, np.full_like(start.below, NEVER)), 0
    for sharper in SHARPER:
        for nearer in NEARER:
            limits = Limits(start.sharpness * sharper, start.distance * nearer, start.below.copy())
            for index, least in enumerate(start.below):
                limits.below[index] = choose_confidence(slices, copies, limits, index, least, margin)
            reported = int(limits.report(slices).sum())
            if reported > most:
                best, most = limits, reported
    return best


def choose_confidence(
    slices: Seen, copies: Sequence[Seen], limits: Limits, index: int, least: float, margin: Margin
) -> float:
    """The lowest confidence, `least` or more, from which slices are called class `index` and no copy rises."""
    mine = limits.trust(slices) & (slices.called == index)
    tried = slices.confidence[mine & (slices.confidence >= least)]
    if least > 1 or not tried.size:
        return NEVER
    tried = np.unique(np.quantile(np.append(tried, least), np.linspace(0, 1, TRIED), method="lower"))
    own = np.where(mine, slices.confidence, 0.0)
    allowed = np.ones(tried.size, bool)
    for some in copies:
        rows = limits.trust(some, margin) & (some.called == index)
        nearly = some.confidence[rows] >= lower(tried[:, None], margin.odds)
        allowed &= ~(nearly & (own[rows] < tried[:, None])).any(1)
    return float(tried[allowed][0]) if allowed.any() else NEVER


def lower(confidence: Floats, odds: float) -> Floats:
    """Confidences 0 to 1 with so many times lower odds."""
    return confidence / (confidence + odds * (1 - confidence))


def choose_refusal(seen: Sequence[Seen], start: float) -> float:
    """`refuse_above`, `start` or more, for slices and crops: few that have lungs lie so far that they are refused."""
    distances = np.concatenate([some.distance[some.shaped & some.usual & (some.lung_share >= LUNG)] for some in seen])
    return round(max(start, float(np.quantile(distances, 1 - REFUSED)) / FARTHER), 3)


def count_risen(slices: Seen, copies: Mapping[str, Seen], limits: Limits, malignant: int) -> dict[str, dict[str, Any]]:
    """Referred slices, of how many a copy of each kind, and of any, is reported, and of how many as Malignant."""
    referred = int((~limits.report(slices)).sum())
    risen = {name: find_risen(slices, some, limits) for name, some in copies.items()}
    worst = {name: risen[name] & (some.called == malignant) for name, some in copies.items()}
    risen["any"], worst["any"] = (np.logical_or.reduce(list(rows.values())) for rows in (risen, worst))
    return {name: count(int(risen[name].sum()), referred) | {"malignant": int(worst[name].sum())} for name in risen}


def count_refused(seen: Seen, refuse_above: float, least_lung: float = LUNG) -> dict[str, Any]:
    """How many pictures with so much lung are refused."""
    rows, farthest = seen.lung_share >= least_lung, refuse_above * np.where(seen.usual, FARTHER, 1)
    return count(int((rows & ~(seen.shaped & (seen.distance <= farthest))).sum()), int(rows.sum()))


def count(some: int, of: int) -> dict[str, Any]:
    """A count with the exact upper bound of its share (Clopper & Pearson 1934), one-sided at 95 %."""
    bound = float(beta.ppf(0.95, some + 1, of - some)) if some < of else 1.0
    return {"count": some, "of": of, "at_most": round(bound, 5)}
