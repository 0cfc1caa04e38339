"""Compute every number of the model card again, and write MODEL_CARD.md, evaluation.json and the figures.

    lungct evaluate --data DIR

DIR holds cases.csv and its images, or iq_othnccd/ with both and, for the gate, not_ct/ and dicom/. The folds and the
out-of-fold answers come with the model folder, so this takes minutes where training took an hour. No figure shows a
slice.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lungct_tools import ROOT
from lungct_tools.commandline import make_parser


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data, see above")
    parser.add_argument(
        "--model", type=Path, default=ROOT / "model_store" / "lung_ct", help="model folder (%(default)s)"
    )
    parser.add_argument("--out", type=Path, help="folder to write to (default: the model folder)")
    parser.add_argument("--sample", type=int, default=60, help="slices for the costly heatmap tests (%(default)s)")
    args = parser.parse_args()
    # After the arguments: torch and scikit-learn take seconds to import, which --help need not wait for.
    from lungct.errors import ModelFolderError
    from lungct.model.folder import load_model_folder
    from lungct_tools.modelling.card import write_card
    from lungct_tools.modelling.dataset import read_cases
    from lungct_tools.modelling.evaluation import evaluate
    from lungct_tools.modelling.figures import draw_figures
    from lungct_tools.modelling.judgement import Evaluation

    out = args.out or args.model
    try:
        cases = read_cases(args.data)
        found = evaluate(args.model, cases, args.data, args.sample)
    except (ModelFolderError, ValueError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    (out / "evaluation.json").write_text(json.dumps(found, indent=2) + "\n")
    evaluation = Evaluation.read(args.model, load_model_folder(args.model), cases)
    draw_figures(out / "figures", evaluation, found)
    write_card(out, evaluation.folder.contract, found, json.loads((args.model / "trials.json").read_text()))
    print(f"evaluate: wrote {out / 'MODEL_CARD.md'}, evaluation.json and figures in {found['minutes']} minutes")
    return 0
