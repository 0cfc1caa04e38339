"""How far a score is to be trusted: 95 % intervals that draw or count patients and cases, never slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Groups = npt.NDArray[np.int64] | npt.NDArray[np.str_]
Score = Callable[[Ints], dict[str, float]]  # scores of row numbers; NaN where there is nothing to score

DRAWS = 1000


def resample_cases(score: Score, groups: Groups, draws: int = DRAWS) -> dict[str, list[float]]:
    """95 % intervals by bootstrap of whole cases; scores that no draw has are left out."""
    rng = np.random.default_rng(0)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    drawn = [
        score(np.concatenate([members[case] for case in rng.integers(0, len(members), len(members))]))
        for _ in range(draws)
    ]
    known = {key: [row[key] for row in drawn if not np.isnan(row[key])] for key in drawn[0]}
    return {key: np.quantile(values, [0.025, 0.975]).tolist() for key, values in known.items() if values}


def cover(right: int, count: int) -> list[float]:
    """The exact 95 % interval (Clopper & Pearson 1934) of `right` of `count`."""
    low = float(beta.ppf(0.025, right, count - right + 1)) if right else 0.0
    return [low, float(beta.ppf(0.975, right + 1, count - right)) if right < count else 1.0]


def tell_share(flags: Flags, groups: Groups) -> dict[str, Any]:
    """Share of (N,) flags, of how many slices and cases, and its interval by case.

    Where all slices agree a bootstrap says nothing: the interval is then the exact one over the cases.
    """
    cases = len(np.unique(groups))
    told: dict[str, Any] = {"slices": len(flags), "cases": cases, "share": None, "interval": None}
    if not len(flags):
        return told
    told["share"] = share = float(flags.mean())
    if share in (0, 1):
        told["interval"] = cover(cases if share else 0, cases)
    elif cases > 1:
        told["interval"] = resample_cases(lambda rows: {"share": float(flags[rows].mean())}, groups)["share"]
    return told
