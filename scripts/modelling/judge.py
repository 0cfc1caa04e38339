"""Who is asked: a model folder with an engine, every slice that is known; and how shares and ranks are counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from lungct.engines import Engine
from lungct.model import ModelFolder
from lungct_tools.modelling.asking import Answers, ask, encode
from lungct_tools.modelling.dataset import Cases
from lungct_tools.modelling.pasting.nodules import Nodules, read_nodules
from lungct_tools.modelling.sources import Known, read_sources

Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judge:
    """A model folder with an engine and everything that it is asked about."""

    folder: ModelFolder
    engine: Engine
    cases: Cases
    known: list[Known]
    nodules: Nodules

    @classmethod
    def read(cls, folder: ModelFolder, engine: Engine, cases: Cases, data: Path, nodules: Path) -> Judge:
        """Read every source under `data` that is there."""
        return cls(folder, engine, cases, read_sources(data, cases), read_nodules(nodules))

    def ask(self, pictures: Iterable[Bytes], said: str) -> Answers:
        """Answers on (H, W) uint8 slices that were made or changed; the gate, which might refuse them, is off."""
        return ask(self.folder, self.engine, map(encode, pictures), said, gate="off")

    def ask_files(self, known: list[Known]) -> tuple[Answers, Answers]:
        """Answers on files as they lie there: as served, and with those that the gate refuses answered all the same."""

        def read(rows: Iterable[int], gate: str) -> Answers:
            return ask(self.folder, self.engine, (known[row].path.read_bytes() for row in rows), f"gate {gate}", gate)

        served = read(range(len(known)), "on")
        refused = np.flatnonzero(~served.answered)
        return served, served.put(refused, read(refused, "off")) if len(refused) else served


def share(flags: Flags) -> float | None:
    """Share of (N,) flags; None of nothing, which JSON knows."""
    return float(flags.mean()) if len(flags) else None


def rank(scores: Floats, positive: Flags) -> float | None:
    """AUC of scores (N,); None where one of the two is missing."""
    known = ~np.isnan(scores)
    if len(set(positive[known])) < 2:
        return None
    return float(roc_auc_score(positive[known], scores[known]))
