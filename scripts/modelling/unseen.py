"""Train anew without each patient of other scanners in turn, and tell what is said of the one left out.

    lungct unseen --data DIR --init FILE

DIR as for `lungct train`, with lidc_clear/. Half an hour on two free cores for three patients; one that is done stays
done, and one that was stopped goes on from its last checkpoint. Writes unseen.json into the model folder, for its card:
these are short trainings and no models to serve. Research use only. Not a medical device.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from lungct_tools import ROOT
from lungct_tools.commandline import make_parser

if TYPE_CHECKING:
    from lungct.model.network import LungResNet18
    from lungct_tools.modelling.pasting.training import Recipe
    from lungct_tools.modelling.shipping import Material

RECIPE = '{"views": [[12800, 128], [5120, 224]], "bf16": true}'
SEED = 3000  # of the slices to judge by; nothing else has it


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data, see above")
    parser.add_argument("--nodules", type=Path, help="folder of the nodules (default DIR/lidc_nodules)")
    parser.add_argument("--init", default="imagenet", help="'imagenet' or a state_dict file (%(default)s)")
    parser.add_argument("--recipe", default=RECIPE, help="JSON of what differs from the default recipe (%(default)s)")
    parser.add_argument(
        "--work", type=Path, default=ROOT / ".run" / "train" / "unseen", help="checkpoints (%(default)s)"
    )
    parser.add_argument("--pasted", type=int, default=300, help="slices of each patient to paste into (%(default)s)")
    parser.add_argument(
        "--model", type=Path, default=ROOT / "model_store" / "lung_ct", help="folder to write to (%(default)s)"
    )
    args = parser.parse_args()
    # After the arguments: torch takes seconds to import, which --help need not wait for.
    from lungct.errors import ModelFolderError
    from lungct_tools.modelling.card import UNSEEN
    from lungct_tools.modelling.dataset import read_cases
    from lungct_tools.modelling.pasting.backgrounds import read_clear, take_normal
    from lungct_tools.modelling.pasting.nodules import read_nodules
    from lungct_tools.modelling.pasting.training import read_recipe
    from lungct_tools.modelling.shipping import Material

    try:
        recipe = read_recipe(args.recipe)
        others = list(read_clear(args.data / "lidc_clear"))
        nodules = read_nodules(args.nodules or args.data / "lidc_nodules")
        material = Material([*take_normal(read_cases(args.data)), *others], nodules)
        found = {
            group: leave_out(group, material, recipe, args.init, args.work / group.replace(":", "-"), args.pasted)
            for group in sorted({background.group for background in others})
        }
        told = {"init": Path(args.init).name, "recipe": asdict(recipe), "patients": found}
        (args.model / UNSEEN).write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")
    except (ModelFolderError, ValueError, TypeError, KeyError, OSError, RuntimeError, UnpicklingError) as error:
        print(f"unseen: {error}", file=sys.stderr)
        return 2
    print(f"unseen: wrote {args.model / UNSEEN}; `lungct evaluate` takes it into the card.")
    return 0


def leave_out(group: str, material: Material, recipe: Recipe, init: str, work: Path, pasted: int) -> dict[str, Any]:
    """What a training without the backgrounds of `group` says of them."""
    import torch

    from lungct_tools.modelling.pasting.start import read_start
    from lungct_tools.modelling.pasting.training import Trainer

    torch.manual_seed(recipe.seed)
    mine, rest = part(material, group)
    generator = rest.split(kept_out=False).generate(recipe.images, recipe.seed)
    trainer = Trainer(read_start(init), generator, recipe, work, workers=2)
    network = trainer.run().to(memory_format=torch.contiguous_format).eval()
    return judge(network, mine, recipe, pasted) | {"minutes": round(trainer.seconds / 60, 1)}


def part(material: Material, group: str) -> tuple[Material, Material]:
    """The backgrounds of a group, and all others, each with all nodules."""
    mine = [one for one in material.backgrounds if one.group == group]
    rest = [one for one in material.backgrounds if one.group != group]
    return replace(material, backgrounds=mine), replace(material, backgrounds=rest)


def judge(network: LungResNet18, mine: Material, recipe: Recipe, pasted: int) -> dict[str, Any]:
    """How a patient's slices are called as they are, and with nodules of unseen patients in them."""
    import numpy as np

    from lungct.model import Pooling, to_input
    from lungct.window import LUNG
    from lungct_tools.modelling.dataset import CLASSES, MALIGNANT, NORMAL
    from lungct_tools.modelling.judge import rank
    from lungct_tools.modelling.pasting.backgrounds import is_kept_out
    from lungct_tools.modelling.pasting.settings import Settings
    from lungct_tools.modelling.shipping import look

    network.pooling = Pooling("lse", recipe.sharpness)
    size = recipe.images.size
    inputs = [to_input(one.pixels, size, "pad", LUNG.air) for one in mine.backgrounds]
    called = look(network, np.stack(inputs))[0].argmax(1)
    unseen = mine.nodules.select(np.array([is_kept_out(patient) for patient in mine.nodules.patients]))
    generator = replace(mine, nodules=unseen).generate(Settings(size, size, little=0), SEED)
    samples = [generator[number] for number in range(pasted)]
    labels = np.array([one.label for one in samples])
    logits = look(network, np.stack([one.pixels for one in samples]))[0]
    holding = np.logaddexp.reduce(logits[:, :NORMAL], axis=1) - logits[:, NORMAL]
    right = logits.argmax(1) == labels
    return {
        "slices": len(called),
        "called_malignant": float((called == MALIGNANT).mean()),
        "pasted": pasted,
        "balanced_accuracy": float(np.mean([right[labels == label].mean() for label in range(len(CLASSES))])),
        "present_auc": rank(holding, labels != NORMAL),
    }


if __name__ == "__main__":
    sys.exit(main())
