"""A trial: one recipe trained on every fold, its networks and out-of-fold answers kept in a work folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import numpy.typing as npt
import torch
from lungct.model import fill
from lungct.network import LungResNet18
from safetensors.torch import load_file, save_file

from scripts.dataset import CLASSES, Cases, split_by_case
from scripts.recipe import Recipe, build_network, fit, predict
from scripts.views import Views

FOLDS = 5


@dataclass(frozen=True)
class Trial:
    """One recipe under grouped cross-validation; what is done already is not done again.

    Attributes:
        work: folder of views and trials, ignored by version control.
        init: start weights, see `build_network`.
        size: side of the input that is scored.
    """

    work: Path
    name: str
    cases: Cases
    recipe: Recipe
    init: str
    seed: int
    size: int = 224

    @property
    def folder(self) -> Path:
        return self.work / self.name

    @property
    def folds(self) -> npt.NDArray[np.int64]:
        """(N,) fold of each slice."""
        return split_by_case(self.cases, FOLDS, self.seed)

    @property
    def finished(self) -> bool:
        """Whether every fold has its answers."""
        return all((self.folder / f"fold-{fold}.answers").is_file() for fold in range(FOLDS))

    def train(self, fold: int) -> None:
        """Train without `fold`, score it, keep both."""
        answers = self.folder / f"fold-{fold}.answers"
        if answers.is_file():
            return
        started = monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "recipe.json").write_text(json.dumps(asdict(self.recipe)))
        torch.manual_seed(self.seed)
        network = build_network(self.init)
        views = Views(self.work / "views", self.cases, self.seed)
        inside, outside = np.flatnonzero(self.folds != fold), np.flatnonzero(self.folds == fold)
        checkpoint = self.folder / f"fold-{fold}.checkpoint"
        trained = fit(network, views, inside, self.recipe, self.seed, checkpoint, f"{self.name} fold {fold}")
        save_file(trained.state_dict(), self.folder / f"fold-{fold}.safetensors")
        logits, features = predict(trained, self.cases, outside, self.size)
        minutes = torch.tensor((monotonic() - started) / 60)
        found = {"logits": torch.from_numpy(logits), "features": torch.from_numpy(features), "minutes": minutes}
        save_file(found, answers)
        checkpoint.unlink()

    def network(self, fold: int) -> LungResNet18:
        """The network that was trained without `fold`."""
        network = LungResNet18(len(CLASSES))
        fill(network, load_file(self.folder / f"fold-{fold}.safetensors"))
        return network.eval()

    def collect(self) -> dict[str, torch.Tensor]:
        """Out-of-fold `logits` (N, C) and `features` (N, 512) float32 in the order of the cases, and total `minutes`."""
        found = [load_file(self.folder / f"fold-{fold}.answers") for fold in range(FOLDS)]
        order = torch.from_numpy(np.argsort(self.folds, kind="stable")).argsort()
        joined = {key: torch.cat([part[key] for part in found])[order] for key in ("logits", "features")}
        return joined | {"minutes": sum((part["minutes"] for part in found), torch.tensor(0.0))}
