"""A trial: one recipe trained on every fold, its networks and out-of-fold answers kept in a work folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file

from lungct.model.folder import fill
from lungct.model.network import LungResNet18
from lungct_tools.modelling.dataset import CLASSES, Cases, split_by_case
from lungct_tools.modelling.recipe import Recipe, build_network, fit, predict, read_recipe

FOLDS = 5
KEPT_OUT = 0  # the fold that the shipped network never saw; fixed before any result was seen
COMMON = (0, 1)  # folds that every trial so far has: on these they can be compared
RECIPE, CIRCUMSTANCES = "recipe.json", "circumstances.json"
ANSWERS, ASSIGNMENT, TRIALS = "out_of_fold.safetensors", "folds.csv", "trials.json"  # in the model folder


@dataclass(frozen=True)
class Trial:
    """One recipe under grouped cross-validation; what is done already is not done again.

    Attributes:
        work: folder of trials, ignored by version control.
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
    def circumstances(self) -> dict[str, object]:
        """What else the answers depend on: with another seed or other data the folds are others, too."""
        table = json.dumps([self.cases.files, self.cases.labels.tolist(), self.cases.groups.tolist()])
        return {"seed": self.seed, "init": Path(self.init).name, "data": hashlib.sha256(table.encode()).hexdigest()}

    def keep_record(self) -> None:
        """Write down how this trial is done.

        Raises:
            ValueError: it, or a trial it goes on from, was begun with another recipe, seed, start or data. Networks of
                other folds may have seen what they would be judged on here.
        """
        if strangers := [path for trial in self.ancestry for path in trial.list_strangers()]:
            raise ValueError(f"{strangers[0]} differs: the trial was begun otherwise. Name another trial.")
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, record in ((RECIPE, asdict(self.recipe)), (CIRCUMSTANCES, self.circumstances)):
            if not (self.folder / name).is_file():
                (self.folder / name).write_text(json.dumps(record))

    def list_strangers(self) -> list[Path]:
        """The records of this trial that say it was begun otherwise; there are none before it is begun."""
        known = (
            (RECIPE, asdict(self.recipe), lambda text: asdict(read_recipe(text))),
            (CIRCUMSTANCES, self.circumstances, json.loads),
        )
        return [
            path
            for name, record, read in known
            if (path := self.folder / name).is_file() and read(path.read_text()) != record
        ]

    @property
    def parents(self) -> list[Trial]:
        """The trials whose networks this one begins with."""
        names = [name for name in self.recipe.start.split("+") if name]
        return [replace(self, name=name, recipe=read_recipe((self.work / name / RECIPE).read_text())) for name in names]

    @property
    def ancestry(self) -> list[Trial]:
        """The trials this one goes on from, the first one first, and itself."""
        older = {trial.name: trial for parent in self.parents for trial in parent.ancestry}
        return [*older.values(), self]

    @property
    def finished(self) -> bool:
        """Whether every fold has its answers."""
        return all(self.answers(fold).is_file() for fold in range(FOLDS))

    def answers(self, fold: int) -> Path:
        """File of the logits and features of `fold` by the network that was trained without it."""
        return self.folder / f"fold-{fold}.answers"

    def train(self, fold: int) -> None:
        """Train without `fold`, score it, keep both; ValueError where the trial was begun otherwise."""
        self.keep_record()
        if self.answers(fold).is_file():
            return
        torch.manual_seed(self.seed)
        begun = [parent.network(fold) for parent in self.parents]
        network = average(begun) if begun else build_network(self.init)
        cases = self.cases.crop_to_lungs() if self.recipe.lungs else self.cases
        inside, outside = np.flatnonzero(self.folds != fold), np.flatnonzero(self.folds == fold)
        checkpoint = self.folder / f"fold-{fold}.checkpoint"
        seconds = 0.0
        if self.recipe.sides:
            network = fit(network, cases, inside, self.recipe, self.seed, checkpoint)
            seconds = torch.load(checkpoint, weights_only=True)["seconds"]
        save_file(network.state_dict(), self.folder / f"fold-{fold}.safetensors")
        logits, features = predict(network, cases, outside, self.size)
        found = {"logits": torch.from_numpy(logits), "features": torch.from_numpy(features)}
        save_file(found | {"minutes": torch.tensor(seconds / 60)}, self.answers(fold))
        checkpoint.unlink(missing_ok=True)

    def network(self, fold: int) -> LungResNet18:
        """The network that was trained without `fold`."""
        network = LungResNet18(len(CLASSES))
        fill(network, load_file(self.folder / f"fold-{fold}.safetensors"))
        return network.eval()

    def collect(self, folds: Sequence[int] = range(FOLDS)) -> dict[str, torch.Tensor]:
        """Out-of-fold answers: `logits` (M, C) and `features` (M, 512) float32, total `minutes`.

        The M slices of `folds` are in the order of the cases.
        """
        found = [load_file(self.answers(fold)) for fold in folds]
        order = np.argsort(np.concatenate([np.flatnonzero(self.folds == fold) for fold in folds]))
        joined = {key: torch.cat([part[key] for part in found])[order] for key in ("logits", "features")}
        return joined | {"minutes": torch.stack([part["minutes"] for part in found]).sum()}


def average(networks: Sequence[LungResNet18]) -> LungResNet18:
    """The network whose weights are the mean of those of `networks`."""
    states = [network.state_dict() for network in networks]
    mean = {key: torch.stack([state[key].float() for state in states]).mean(0) for key in states[0]}
    found = LungResNet18(len(CLASSES))
    fill(found, mean)
    return found
