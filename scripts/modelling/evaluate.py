"""Compute every number of the model card again, and write it, evaluation.json and its figure. Research use only.

    lungct evaluate --data DIR

DIR as for `lungct train`, and whatever of lungdx_a0001/, dicom/lidc_0001/ with lidc_0001.csv, and not_ct/ is there:
what is not leaves its rows out. Takes minutes. The answers are those of the server's whole pipeline, by the engine that
it would choose here. What is to be expected of them goes into model.json, unless --out names another folder. --beside
has the card tell what another model reached, by its evaluation.json.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from lungct_tools import ROOT
from lungct_tools.commandline import make_parser


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data, see above")
    parser.add_argument("--nodules", type=Path, help="folder of the nodules (default DIR/lidc_nodules)")
    parser.add_argument(
        "--model", type=Path, default=ROOT / "model_store" / "lung_ct", help="model folder (%(default)s)"
    )
    parser.add_argument("--engine", default="auto", help="engine that answers (default %(default)s)")
    parser.add_argument("--made", type=int, default=900, help="slices to paste (%(default)s); draws a ninth")
    parser.add_argument("--out", type=Path, help="folder to write to (default: the model folder)")
    parser.add_argument("--beside", type=Path, metavar="FILE", help="evaluation.json of a model to stand beside")
    args = parser.parse_args()
    # After the arguments: torch and scikit-learn take seconds to import, which --help need not wait for.
    from lungct.engines import choose_engine
    from lungct.errors import ModelFolderError
    from lungct.model.folder import load_model_folder
    from lungct.settings import count_cores
    from lungct_tools.modelling.card import CARD, EVALUATION, FIGURE, write_card
    from lungct_tools.modelling.dataset import read_cases
    from lungct_tools.modelling.figures import draw_failures
    from lungct_tools.modelling.judge import Judge
    from lungct_tools.modelling.judging import judge_all, promise
    from lungct_tools.modelling.table import tell_beside

    started, out = time.monotonic(), args.out or args.model
    try:
        beside = {"beside": tell_beside(args.beside)} if args.beside else {}
        folder = load_model_folder(args.model)
        engine = choose_engine(folder, threads=count_cores(), wanted=args.engine)
        judge = Judge.read(folder, engine, read_cases(args.data), args.data, args.nodules or args.data / "lidc_nodules")
        out.mkdir(parents=True, exist_ok=True)  # a place that cannot be written is told before minutes of work
        found = judge_all(judge, args.data, args.made) | beside
        contract = folder.contract
        found |= {"version": contract.version, "engine": engine.name, "weights_sha256": contract.weights_sha256}
        found["minutes"] = round((time.monotonic() - started) / 60, 1)
        (out / EVALUATION).write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")
        if out.resolve() == args.model.resolve():
            replace(contract, metrics=promise(found)).write(out)
        draw_failures(out / FIGURE, judge, found["phantoms"])
        write_card(out, contract, found)
    except (ModelFolderError, ValueError, KeyError, OSError, RuntimeError, ImportError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    print(f"evaluate: wrote {out / CARD}, {EVALUATION} and {FIGURE} in {found['minutes']} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
