"""Train the network on pasted nodules and write the model folder. Research use only. Not a medical device.

    lungct train --data DIR --init FILE --version 2.0             # an hour on two free cores
    lungct train --data DIR --init FILE --version 2.0 --resume    # goes on from the last checkpoint

DIR holds cases.csv and its images, or iq_othnccd/ with both: its Normal slices are backgrounds, the others judge. It
also holds lidc_nodules/ (nodules.npz and nodules.csv) and, if there, lidc_clear/ (slices.csv and nodule-free slices of
other scanners); --nodules names others in the same form. A checkpoint is written every five minutes.
`lungct quantize` then adds the int8 graph, `lungct evaluate` writes the card.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from pickle import UnpicklingError  # what torch.load raises of a file that is none of its own

from lungct_tools import ROOT
from lungct_tools.commandline import make_parser


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data, see above")
    parser.add_argument("--nodules", type=Path, help="folder of the nodules (default DIR/lidc_nodules)")
    parser.add_argument(
        "--init", default="imagenet", help="'imagenet', a state_dict file, a model folder (%(default)s)"
    )
    parser.add_argument("--recipe", default="{}", help="JSON of what differs from the default recipe")
    parser.add_argument("--work", type=Path, default=ROOT / ".run" / "train", help="checkpoints (%(default)s)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --work")
    parser.add_argument("--out", type=Path, default=ROOT / "model_store" / "lung_ct", help="model folder (%(default)s)")
    parser.add_argument("--version", required=True, help="written into model.json")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0: all cores (default %(default)s)")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    # After the arguments: torch takes seconds to import, which --help need not wait for.
    import torch

    from lungct.errors import ModelFolderError
    from lungct_tools.modelling.dataset import read_cases
    from lungct_tools.modelling.pasting.backgrounds import read_clear, take_normal
    from lungct_tools.modelling.pasting.nodules import read_nodules
    from lungct_tools.modelling.pasting.start import read_start
    from lungct_tools.modelling.pasting.training import CHECKPOINT, Trainer, read_recipe
    from lungct_tools.modelling.shipping import Material, check_kept_out, ship
    from lungct_tools.modelling.sources import read_sources

    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        if (args.work / CHECKPOINT).is_file() and not args.resume:
            raise ValueError(f"{args.work / CHECKPOINT} is there: give --resume to go on, or another --work.")
        recipe, cases = read_recipe(args.recipe), read_cases(args.data)
        clear = args.data / "lidc_clear"
        others = read_clear(clear) if clear.is_dir() else ()
        material = Material([*take_normal(cases), *others], read_nodules(args.nodules or args.data / "lidc_nodules"))
        known = read_sources(args.data, cases)
        check_kept_out(material)
        torch.manual_seed(recipe.seed)
        generator = material.split(kept_out=False).generate(recipe.images, recipe.seed)
        start = read_start(args.init)
        trainer = Trainer(start, generator, recipe, args.work, workers=2)
        network, minutes = trainer.run(), round(trainer.seconds / 60, 1)
        contract = ship(network, recipe, minutes, start, material, known, args.out, args.version)
    except (ModelFolderError, ValueError, TypeError, KeyError, OSError, RuntimeError, UnpicklingError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"temperature": contract.temperature, "refer_below": dict(contract.refer_below)}))
    print(f"Wrote {args.out}. `lungct quantize` adds its int8 graph, `lungct evaluate` its card.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
