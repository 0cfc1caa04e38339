"""Quantise the model folder's network to int8 with NNCF and state how far it agrees with fp32. Research use only.

    lungct quantize --data DIR
    lungct quantize --data DIR --check     # the graph that is there, by this processor

DIR as for `lungct train`. Calibrates on real slices that the network was trained on and on pasted ones made of what it
was, returns layers to fp32 in the order of the harm that they do, and measures label, probabilities and maps on real
and pasted slices that neither training nor calibration saw, half of them perturbed. With the rest in fp32, and on a
processor that has bf16 also with the rest in that: the server takes by itself only what was measured and passes
lungct.model.agreement.

Exit codes: 0 the graph passes, 1 it does not pass in one way or both, 2 it could not be made or measured.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lungct_tools import ROOT
from lungct_tools.commandline import make_parser


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data, see `lungct train --help`")
    parser.add_argument("--nodules", type=Path, help="folder of the nodules (default DIR/lidc_nodules)")
    parser.add_argument("--model", type=Path, default=ROOT / "model_store" / "lung_ct", help="folder (%(default)s)")
    parser.add_argument(
        "--check",
        action="store_true",
        help="measure the graph that is there, by this processor; what only it can measure is written down",
    )
    args = parser.parse_args()
    # After the arguments: torch and scikit-learn take seconds to import, which --help need not wait for.
    from lungct.errors import ModelFolderError
    from lungct.model.folder import QUANTISED, load_model_folder
    from lungct_tools.modelling.quantisation import complete_folder, gather, quantise_folder

    try:
        folder = load_model_folder(args.model)
        slices = gather(args.data, args.nodules or args.data / "lidc_nodules", folder.contract.size)
        work = complete_folder if args.check else quantise_folder
        agreement = work(folder, slices)
    except (ModelFolderError, ValueError, KeyError, OSError, RuntimeError) as error:
        print(f"quantize: {error}", file=sys.stderr)
        return 2
    print(json.dumps({name: found._asdict() for name, found in agreement.items()}))
    print(f"quantize: {'measured' if args.check else 'wrote'} {args.model / QUANTISED}.")
    for name, found in agreement.items():
        print(f"quantize: {name} {'passes' if found.passes else 'does NOT pass, so no server takes it by itself'}.")
    return 0 if all(found.passes for found in agreement.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
