"""From slices to series: one row a series, by a rule that is written down."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from lungct import NOTICE
from lungct_tools.folder.copies import Instances
from lungct_tools.folder.modelfacts import tell_once
from lungct_tools.folder.record import Row, identify_series
from lungct_tools.folder.table import write_table

AGREEING = 3
NOT_ASSESSABLE = "not assessable"
RULE = (
    f"A series takes the class of its third most worrying slice and its third highest probability of the most worrying "
    f"class, so two odd slices cannot decide. Copies of a slice count once. With fewer than {AGREEING} scored slices, "
    f"or fewer than half of its axial ones, a series is {NOT_ASSESSABLE}. Its decision is refer when it is that, "
    f"when any slice was referred or refused, or when its slices are of several patients."
)
COLUMNS = (
    "study", "series", "slices", "copies", "scored", "refused", "referred", "label", "suspicion", "peak", "peak_file",
    "decision", "warnings", "notice",
)  # fmt: skip


@dataclass
class Series:
    """What is kept of a series while its slices pass by: a few numbers, and what tells its slices from copies.

    Attributes:
        referred: scored slices whose decision is refer.
        ranks: how worrying the AGREEING most worrying slices are, as positions in the order of classes.
        top: the AGREEING highest probabilities of the most worrying class.
        peak_file: the slice of the highest one.
    """

    study: str
    name: str
    instances: Instances = field(default_factory=Instances)
    referred: int = 0
    ranks: list[int] = field(default_factory=list)
    top: list[float] = field(default_factory=list)
    peak_file: str = ""

    def add(self, row: Row, classes: Sequence[str]) -> bool:
        """Count one slice; whether it is a scored one and no copy."""
        if not self.instances.add(row):
            return False
        suspicion = row["probabilities"][classes[-1]]
        if not self.top or suspicion > self.top[0]:
            self.peak_file = row["file"]
        self.referred += row["decision"] == "refer"
        self.ranks = heapq.nlargest(AGREEING, [*self.ranks, classes.index(row["label"])])
        self.top = heapq.nlargest(AGREEING, [*self.top, suspicion])
        return True

    def describe(self, classes: Sequence[str]) -> Row:
        """The row of this series, by RULE."""
        scored, (refused, axial) = self.instances.scored, self.instances.count_refused()
        assessable = scored >= AGREEING and 2 * scored >= scored + axial
        clashing, patients = len(self.instances.clashing), len(self.instances.patients)
        doubts = [f"{clashing} instance UIDs stand for slices at several positions."] if clashing else []
        doubts += [f"Slices of {patients} patients have the UIDs of this series."] if patients > 1 else []
        return {
            "study": self.study,
            "series": self.name,
            "slices": scored + refused,
            "copies": self.instances.count_copies(),
            "scored": scored,
            "refused": refused,
            "referred": self.referred,
            "label": classes[self.ranks[-1]] if assessable else NOT_ASSESSABLE,
            "suspicion": self.top[-1] if assessable else "",
            "peak": self.top[0] if scored else "",
            "peak_file": self.peak_file,
            "decision": "refer" if self.referred or refused or patients > 1 or not assessable else "report",
            "warnings": " ".join(doubts),
            "notice": NOTICE,
        }


@dataclass
class Totals:
    """What a run came to.

    Attributes:
        labels: scored slices by class, copies apart.
        decisions: the same by decision.
        errors: refused files by error code.
        slices: all files.
        series: a row each, from most to least suspicious.
        suspicious: the rows of the most suspicious slices.
        refused: the rows of the first files that were refused.
    """

    labels: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    slices: int = 0
    series: list[Row] = field(default_factory=list)
    suspicious: list[Row] = field(default_factory=list)
    refused: list[Row] = field(default_factory=list)

    @property
    def copies(self) -> int:
        """Files that were set aside because they are copies."""
        return sum(series["copies"] for series in self.series)


def add_up(rows: Iterable[Row], classes: Sequence[str], keep: int) -> Totals:
    """Totals of all rows in one pass; series from most to least suspicious, `keep` slices of the most suspicious.

    Series that are not assessable stand among the others by their most worrying slice.
    """
    return add_up_groups([rows], classes, keep)


def add_up_groups(groups: Iterable[Iterable[Row]], classes: Sequence[str], keep: int) -> Totals:
    """The same of rows in groups, no series in two of them: what tells copies is kept for one group at a time."""
    totals = Totals()
    best: list[tuple[float, int, Row]] = []
    for rows in groups:
        totals.series += _add_group(rows, classes, keep, totals, best)
    totals.series.sort(key=lambda series: -(series["peak" if series["suspicion"] == "" else "suspicion"] or 0))
    totals.suspicious = [row for _, _, row in sorted(best, key=lambda entry: entry[:2], reverse=True)]
    return totals


def _add_group(
    rows: Iterable[Row], classes: Sequence[str], keep: int, totals: Totals, best: list[tuple[float, int, Row]]
) -> list[Row]:
    """The series of these rows; what the rows come to is added to `totals`, and to the heap of the `best`."""
    by_name: dict[tuple[str, str], Series] = {}
    for row in rows:
        totals.slices += 1
        name = identify_series(row)
        if name not in by_name:
            by_name[name] = Series(*name)
        if not by_name[name].add(row, classes):
            if row.get("error"):
                totals.errors[row["error"]] += 1
                totals.refused += [row] if len(totals.refused) < keep else []
            continue
        totals.labels[row["label"]] += 1
        totals.decisions[row["decision"]] += 1
        entry = (row["probabilities"][classes[-1]], -totals.slices, row)
        if len(best) < keep:
            heapq.heappush(best, entry)
        elif best:
            heapq.heappushpop(best, entry)
    return [series.describe(classes) for series in by_name.values()]


def tell_series(series: Row) -> str:
    """A series' row as a sentence for people: its decision, the class, and of what."""
    label = series["label"] if series["label"] == NOT_ASSESSABLE else f"class {series['label']}"
    return " ".join((f"{series['decision'].capitalize()}, {label}: {tell_counts(series)}.", series["warnings"])).strip()


def tell_counts(series: Row) -> str:
    """How many slices of a row there are, and what became of them."""
    found = [f"{series['scored']} of {series['slices']} slices scored"]
    return ", ".join([*found, *(f"{series[name]} {name}" for name in ("referred", "copies") if series[name])])


def tell_refused(errors: Counter[str]) -> str:
    """Which errors kept files from being scored, as a sentence; empty without one."""
    found = ", ".join(f"{code} ({count:,})" for code, count in errors.most_common())
    return f"Refused: {found}." if found else ""


def write_series(series: Iterable[Row], file: IO[str], facts: Mapping[str, str]) -> None:
    """Series as CSV with a header; the first line has the facts of the model."""
    write_table(series, COLUMNS, file, tell_once(facts))
