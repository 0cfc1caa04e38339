"""Quantise the model folder's network to int8 with NNCF and state how far it agrees with fp32. Research use only.

    make quantize ARGS='--data DIR'

Calibrates on slices that the shipped network was trained on, returns layers to fp32 in the order of the harm that they
do to other training slices, and measures label, probabilities and maps on fold 0 and on perturbed copies of it, which
neither training nor calibration saw. The server takes the int8 graph by itself only where that passes
lungct.agreement.

Exit codes: 0 the graph passes, 1 it was written and does not pass, 2 it could not be made.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from scripts.instance import ROOT, make_parser


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with cases.csv and the images it names")
    parser.add_argument("--model", type=Path, default=ROOT / "model_store" / "lung_ct", help="folder (%(default)s)")
    args = parser.parse_args()
    # After the arguments: torch and scikit-learn take seconds to import, which --help need not wait for.
    from lungct.errors import ModelFolderError
    from lungct.model import QUANTISED, load_model_folder

    from scripts.modelling.dataset import read_cases
    from scripts.modelling.quantisation import quantise_folder

    try:
        agreement = quantise_folder(load_model_folder(args.model), read_cases(args.data))
    except (ModelFolderError, ValueError, OSError, RuntimeError) as error:
        print(f"quantize: {error}", file=sys.stderr)
        return 2
    print(json.dumps(agreement._asdict()))
    verdict = "it passes" if agreement.passes else "it does NOT pass, so the server does not use it"
    print(f"quantize: wrote {args.model / QUANTISED}; {verdict}.")
    return 0 if agreement.passes else 1


if __name__ == "__main__":
    sys.exit(main())
