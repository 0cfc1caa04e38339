"""From slices to series: one row a series, by a rule that is written down."""

from __future__ import annotations

import csv
import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO

from lungct import NOTICE
from lungct_tools.folder.record import Row

AGREEING = 3
RULE = (
    f"A series takes the class of its third most worrying slice and its third highest probability of the most worrying "
    f"class, so two odd slices cannot decide; with fewer than {AGREEING} scored slices the most worrying one counts. "
    f"Its decision is refer when any slice was referred or refused, or when none was scored."
)
COLUMNS = (
    "study", "series", "slices", "scored", "refused", "referred", "label", "suspicion", "peak", "peak_file", "decision",
    "notice",
)  # fmt: skip


@dataclass
class Series:
    """What is kept of a series while its slices pass by: the same few numbers for ten slices and ten thousand.

    Attributes:
        refused: slices with an error code.
        referred: scored slices whose decision is refer.
        ranks: how worrying the AGREEING most worrying slices are, as positions in the order of classes.
        top: the AGREEING highest probabilities of the most worrying class.
        peak_file: the slice of the highest one.
    """

    study: str
    scored: int = 0
    refused: int = 0
    referred: int = 0
    ranks: list[int] = field(default_factory=list)
    top: list[float] = field(default_factory=list)
    peak_file: str = ""

    def add(self, row: Row, classes: Sequence[str]) -> None:
        """Count one slice."""
        if row.get("error"):
            self.refused += 1
            return
        suspicion = row["probabilities"][classes[-1]]
        if not self.top or suspicion > self.top[0]:
            self.peak_file = row["file"]
        self.scored += 1
        self.referred += row["decision"] == "refer"
        self.ranks = heapq.nlargest(AGREEING, [*self.ranks, classes.index(row["label"])])
        self.top = heapq.nlargest(AGREEING, [*self.top, suspicion])

    def describe(self, name: str, classes: Sequence[str]) -> Row:
        """The row of this series, by RULE."""
        place = AGREEING - 1 if self.scored >= AGREEING else 0
        doubtful = self.referred or self.refused or not self.scored
        return {
            "study": self.study,
            "series": name,
            "slices": self.scored + self.refused,
            "scored": self.scored,
            "refused": self.refused,
            "referred": self.referred,
            "label": classes[self.ranks[place]] if self.scored else "",
            "suspicion": self.top[place] if self.scored else "",
            "peak": self.top[0] if self.scored else "",
            "peak_file": self.peak_file,
            "decision": "refer" if doubtful else "report",
            "notice": NOTICE,
        }


@dataclass
class Totals:
    """What a run came to: counts of labels, decisions and errors, the series, and the most suspicious slices."""

    labels: Counter[str]
    decisions: Counter[str]
    errors: Counter[str]
    series: list[Row]
    suspicious: list[Row]

    @property
    def slices(self) -> int:
        return self.labels.total() + self.errors.total()


def add_up(rows: Iterable[Row], classes: Sequence[str], keep: int) -> Totals:
    """Totals of all rows in one pass; series from most to least suspicious, and the `keep` most suspicious slices."""
    totals = Totals(Counter(), Counter(), Counter(), [], [])
    by_name: dict[str, Series] = {}
    best: list[tuple[float, int, Row]] = []
    for number, row in enumerate(rows):
        by_name.setdefault(row["series"], Series(row["study"])).add(row, classes)
        if row.get("error"):
            totals.errors[row["error"]] += 1
            continue
        totals.labels[row["label"]] += 1
        totals.decisions[row["decision"]] += 1
        entry = (row["probabilities"][classes[-1]], -number, row)
        if len(best) < keep:
            heapq.heappush(best, entry)
        elif best:
            heapq.heappushpop(best, entry)
    totals.series = [series.describe(name, classes) for name, series in by_name.items()]
    totals.series.sort(key=lambda series: -(series["suspicion"] or 0))
    totals.suspicious = [row for _, _, row in sorted(best, key=lambda entry: entry[:2], reverse=True)]
    return totals


def write_series(series: Iterable[Row], file: IO[str]) -> None:
    """Series as CSV with a header."""
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(series)
