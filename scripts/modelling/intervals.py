"""How far a score is to be trusted: 95 % intervals that draw or count cases, never slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Score = Callable[[Ints], dict[str, float]]  # scores of row numbers; NaN where there is nothing to score

DRAWS = 1000


def resample_cases(score: Score, groups: Ints, draws: int = DRAWS, seed: int = 0) -> dict[str, list[float]]:
    """95 % intervals by bootstrap of whole cases; scores that no draw has are left out."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    drawn = [
        score(np.concatenate([members[case] for case in rng.integers(0, len(members), len(members))]))
        for _ in range(draws)
    ]
    known = {key: [row[key] for row in drawn if not np.isnan(row[key])] for key in drawn[0]}
    return {key: np.quantile(values, [0.025, 0.975]).tolist() for key, values in known.items() if values}


def cover_cases(share: float, cases: int) -> list[float]:
    """The exact 95 % interval (Clopper & Pearson 1934) of a share that is 0 or 1 in so many cases."""
    least = 0.025 ** (1 / cases)
    return [least, 1.0] if share else [0.0, 1 - least]


def bound_scores(score: Score, groups: Ints, rows_of: Mapping[str, Flags]) -> dict[str, Any]:
    """Scores of all rows with their intervals; those that are NaN are left out.

    Where all draws agree, a bootstrap says nothing. A share of 0 or 1 is then given the exact interval over the cases
    that it rests on, any other score none.

    Args:
        groups: (N,) case of each row.
        rows_of: of each score that is a share, the rows (N,) it rests on.

    Returns:
        `scores`; `intervals`; `exact`, the number of cases by the name of each score whose interval is exact.
    """
    scores = {key: value for key, value in score(np.arange(len(groups))).items() if not np.isnan(value)}
    drawn = resample_cases(score, groups)
    intervals = {key: ends for key, ends in drawn.items() if ends[0] < ends[1]}
    flat = [key for key in scores if key not in intervals and key in rows_of and scores[key] in (0, 1)]
    exact = {key: len(set(groups[rows_of[key]])) for key in flat}
    intervals |= {key: cover_cases(scores[key], cases) for key, cases in exact.items()}
    return {"scores": scores, "intervals": intervals, "exact": exact}
