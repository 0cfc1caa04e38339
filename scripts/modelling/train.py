"""Train the ResNet18 by grouped cross-validation and write the model folder. Research use only.

    lungct train cv --data DIR --init FILE                      # five networks; resumes where it stopped
    lungct train cv --data DIR --init imagenet --trial wide --recipe '{"lr": 1e-3}' --folds 0 1
    lungct train ship --data DIR --init FILE --version 2.0      # one of them -> model folder
    lungct train decide --data DIR                              # its refer thresholds, set anew
    lungct train list --data DIR                                # the trials so far -> its table of trials

DIR holds cases.csv and its images, or iq_othnccd/ with both; `lungct audit --help` says what is in cases.csv. `cv`
may run in several processes at once, each with its own --folds. `ship` writes the network that never saw fold 0: that
fold sets its temperature, refer thresholds and gate. `decide` sets the thresholds by today's rule for the weights and
out-of-fold answers that are in the folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from lungct_tools import ROOT
from lungct_tools.commandline import make_parser


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument(
        "step",
        choices=("cv", "ship", "decide", "list"),
        help="cross-validate a recipe, write the model folder, set its refer thresholds anew, list the trials",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with cases.csv and the images it names")
    parser.add_argument("--init", default="imagenet", help="'imagenet' or a state_dict file (default %(default)s)")
    parser.add_argument("--trial", default="base", help="name of the trial (default %(default)s)")
    parser.add_argument("--recipe", default="{}", help="JSON of what differs from the default recipe, for cv")
    parser.add_argument("--folds", type=int, nargs="+", help="folds of cv (default all)")
    parser.add_argument("--work", type=Path, default=ROOT / ".run" / "train", help="trials (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "model_store" / "lung_ct", help="model folder (%(default)s)")
    parser.add_argument("--version", help="version written into model.json; ship has no default for it")
    parser.add_argument("--seed", type=int, default=0, help="of folds, augmentation and weights (default %(default)s)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0: all cores (default %(default)s)")
    args = parser.parse_args()
    if args.step == "ship" and not args.version:
        parser.error("ship needs --version: a forgotten one would give a new model the name of an old one")
    return args


def main() -> int:
    args = parse_arguments()
    # After the arguments: torch and scikit-learn take seconds to import, which --help need not wait for.
    import torch

    from lungct.errors import ModelFolderError
    from lungct_tools.modelling.crossvalidation import FOLDS, RECIPE, TRIALS, Trial
    from lungct_tools.modelling.dataset import read_cases
    from lungct_tools.modelling.recipe import read_recipe
    from lungct_tools.modelling.shipping import decide_anew, ship, write_trials

    if args.threads:
        torch.set_num_threads(args.threads)
    try:
        cases = read_cases(args.data)
        if args.step == "decide":
            print(json.dumps(dict(decide_anew(args.out, cases).refer_below)))
            return 0
        text = (args.work / args.trial / RECIPE).read_text() if args.step == "ship" else args.recipe
        trial = Trial(args.work, args.trial, cases, read_recipe(text), args.init, args.seed)
        if args.step == "cv":
            for fold in args.folds or range(FOLDS):
                trial.train(fold)
                print(f"train: {trial.name} fold {fold} is done")
            return 0
        if args.step == "list":
            print(f"Wrote {write_trials(trial, args.out / TRIALS)} trials to {args.out / TRIALS}.")
            return 0
        contract = ship(trial, args.out, args.version)
    except (ModelFolderError, ValueError, TypeError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    print(json.dumps(dict(contract.metrics), indent=2))
    print(f"Wrote {args.out}. `make evaluate` writes its card, `make archive` its archive.")
    return 0
