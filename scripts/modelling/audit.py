"""What a data set gives away before any training: copies, twins, short cuts, and what look-alikes alone score.

    lungct audit --data DIR
    lungct audit --data DIR --out .run/audit

Writes report.md, audit.json, pseudo_cases.csv and figures; they show or name slices of the data, so keep them out of
version control. DIR holds cases.csv with the columns file, label (benign, malignant, normal) and, where somebody knows
which slices are of one patient, pseudo_case. Where nobody does, slices that look alike are taken for one case;
pseudo_cases.csv lists what follows, to be looked through and used as cases.csv.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lungct_tools import ROOT
from lungct_tools.commandline import make_parser


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with cases.csv and the images it names")
    parser.add_argument("--out", type=Path, default=ROOT / ".run" / "audit", help="folder to write (%(default)s)")
    args = parser.parse_args()
    # After the arguments: torch and scikit-learn take seconds to import, which --help need not wait for.
    from lungct_tools.modelling.auditing import write_audit
    from lungct_tools.modelling.dataset import read_cases

    try:
        found = write_audit(args.out, read_cases(args.data))
    except (ValueError, OSError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return 2
    near = found["near_pairs"]["count"]
    print(f"audit: {found['pseudo_cases']} pseudo-cases, {near} near pairs; see {args.out / 'report.md'}")
    return 0
