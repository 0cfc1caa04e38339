"""What is known of a scored series before any object is made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from lungct.model.preprocess import Geometry
from lungct_tools.folder.copies import Instances
from lungct_tools.folder.record import Row
from lungct_tools.folder.rollup import AGREEING, Series

_EARLIEST = datetime(1900, 1, 1)


@dataclass(frozen=True)
class Slice:
    """One source image and what was said of it.

    Attributes:
        header: `keywords.KEYWORDS` of the source, as far as it has them.
        row: of the folder tool: label, probabilities, decision, warnings; or error and message.
        grids: per class (7, 7) float32 of signed evidence, as the server replied; empty where it was refused.
    """

    header: Dataset
    row: Row
    grids: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        return str(self.header.SOPInstanceUID)

    @property
    def scored(self) -> bool:
        return not self.row.get("error")


@dataclass(frozen=True)
class Algorithm:
    """What scored.

    Attributes:
        classes: from least to most worrying.
        geometry: how a slice is put before the network.
        options: of the requests and the writer that change what is said, as NAME=VALUE.
    """

    name: str
    version: str
    weights_sha256: str
    engine: str
    classes: tuple[str, ...]
    geometry: Geometry
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assessment:
    """A series, whole.

    Attributes:
        slices: in the order of the series; none twice, all with SOP class, SOP, series and study UID.
        rollup: the row of the series by the folder tool's rule.
        scored_at: the only moment that objects name beside those of the source.
        version: 1, or higher after slices came late.
        replaces: series and SOP instance UID of the report of the version before, or None.
        deidentified: leave out what PS3.15's basic profile names.
    """

    slices: Sequence[Slice]
    rollup: Mapping[str, Any]
    algorithm: Algorithm
    scored_at: datetime
    version: int = 1
    replaces: tuple[str, str] | None = None
    deidentified: bool = False

    @cached_property
    def sources(self) -> str:
        """SHA-256 of the UIDs of study, series and slices in any order: one series may be in two studies."""
        header = self.slices[0].header
        uids = (header.StudyInstanceUID, header.SeriesInstanceUID, *sorted(each.uid for each in self.slices))
        return hashlib.sha256(" ".join(map(str, uids)).encode()).hexdigest()

    @cached_property
    def counted(self) -> list[Slice]:
        """The slices that decide the roll-up: those that were scored and are copies of no other."""
        instances = Instances()
        return [each for each in self.slices if instances.add(each.row)]

    def peaks(self) -> list[Slice]:
        """At most AGREEING of these, from the highest probability of the most worrying class down."""
        worst = self.algorithm.classes[-1]
        return sorted(self.counted, key=lambda each: (-each.row["probabilities"][worst], each.uid))[:AGREEING]


def roll_up(slices: Sequence[Slice], classes: Sequence[str]) -> dict[str, Any]:
    """The folder tool's row of one series."""
    series = Series("", "")
    for each in slices:
        series.add(each.row, classes)
    return series.describe(classes)


def date_of(headers: Sequence[Dataset]) -> datetime:
    """The latest moment that source headers name, for results that must not depend on when they were made.

    1900-01-01 where the headers have no readable date.
    """
    found = [
        moment
        for header in headers
        for kind in ("Content", "Acquisition", "Series", "Study")
        if (moment := _read_moment(header.get(f"{kind}Date"), header.get(f"{kind}Time")))
    ]
    return max(found, default=_EARLIEST)


def _read_moment(date: Any, time: Any) -> datetime | None:
    """None for what is no day, or one before there were X-rays: such a date was never meant."""
    digits = str(time or "").partition(".")[0].ljust(6, "0")[:6]
    try:
        moment = datetime.strptime(str(date) + digits, "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return moment if moment >= _EARLIEST else None
