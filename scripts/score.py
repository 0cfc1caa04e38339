"""Score a folder, a ZIP or a list of slices of any size, over night if need be. Research use only.

    python scripts/score.py scans/ scores/
    python scripts/score.py scans.zip scores/ --heatmap abnormal --concurrency 32
    python scripts/score.py scans/ scores/ --run .run --run /tmp/b      # two servers
    python scripts/score.py scans/ scores/ --resume                     # go on after Ctrl-C or a crash

OUT receives slices.jsonl (written while it runs), slices.csv, slices.parquet, series.csv, summary.html and, with
--heatmap, overlays/. A ZIP is told by its bytes, a list by .txt: one path a line. Rows hold file names and hashes;
DICOM study and series are hashed too.

Exit codes: 0 all scored, 1 some refused, 2 nothing to score or wrong options, 3 server down or busy (go on with
--resume), 130 stopped by Ctrl-C (go on with --resume).
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections import Counter
from pathlib import Path

from scripts.client import RefusedError, ServerError, TokenError
from scripts.fleet import Fleet
from scripts.instance import default_run, make_parser
from scripts.journal import Journal, JournalError
from scripts.meter import Meter
from scripts.report import write_report
from scripts.run import Order, Run
from scripts.source import SourceError, open_source


def parse_arguments() -> argparse.Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("source", type=Path, metavar="IN", help="folder, ZIP, list of paths (.txt) or one file")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the results")
    parser.add_argument(
        "--run",
        type=Path,
        action="append",
        help=f"folder of a server's run files; repeat for several servers (default: $LUNG_CT_RUN or {default_run()})",
    )
