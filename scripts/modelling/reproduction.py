"""The commands that make a model again, for its card."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from lungct.model.contract import ModelContract
from lungct_tools.modelling.pasting.training import Recipe


def describe_reproduction(contract: ModelContract, found: dict[str, Any], unseen: dict[str, Any]) -> str:
    """The card's last section but one: every training in its order, and what follows it.

    Args:
        contract: of a model of `lungct train`.
        found: by `lungct evaluate`.
        unseen: by `lungct unseen`, if anything.
    """
    made = contract.training
    trainings = list_trainings(made)
    commands, init = [], "INIT"
    for number, each in enumerate(trainings, 1):
        recipe = json.dumps(find_changes(each["recipe"], json.loads(json.dumps(asdict(Recipe())))))
        out = "" if number == len(trainings) else f" --out MODEL_{number}"
        command = f"lungct train --data DIR --init {init} --recipe '{recipe}'"
        commands.append(f"{command} --version {contract.version}{out}")
        init = f"MODEL_{number}"
    every = f"lungct trust --data DIR --every {made['trust']['every']} --write\n" if "trust" in made else ""
    left_out = "lungct unseen --data DIR --init INIT\n" if unseen else ""
    told = "\n".join(commands)
    minutes = sum(each["minutes"] for each in trainings)
    return f"""## How to reproduce

```
{told}
{every}{left_out}lungct quantize --data DIR
lungct evaluate --data DIR{" --beside EVALUATION" if "beside" in found else ""}
```

INIT was {trainings[0].get("init", "not told")}; `imagenet` fetches torchvision's. Training took {minutes:.0f} minutes
of wall time, evaluating {found["minutes"]:.0f}. [docs/trials.md](../../docs/trials.md) tells how the shipped training
went, and of earlier trials."""


def list_trainings(made: dict[str, Any]) -> list[dict[str, Any]]:
    """A training after those that it went on from, the first one first."""
    earlier = made.get("earlier", {})
    return [*(list_trainings(earlier) if "recipe" in earlier else []), made]


def find_changes(recipe: dict[str, Any], usual: dict[str, Any]) -> dict[str, Any]:
    """What of a recipe differs from the usual one, in its parts too."""
    parts = ((name, value, usual.get(name)) for name, value in recipe.items())
    return {
        name: find_changes(value, other) if isinstance(value, dict) and isinstance(other, dict) else value
        for name, value, other in parts
        if value != other
    }
