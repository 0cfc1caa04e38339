"""Series in from a PACS, results out as DICOM. Research use only. Not a medical device.

    lungct pacs once IN OUT        # score the series of a folder; also a mercure module

Exit codes: 0 all scored, 1 some slices refused, 2 nothing to score or wrong options, 3 server down or busy, 130
stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from lungct import NOTICE

from scripts.client import RefusedError, ServerError, TokenError
from scripts.dicomout.evidence import SIZES
from scripts.dicomout.report import KINDS
from scripts.folder.fleet import Fleet
from scripts.folder.source import SourceError, open_source
from scripts.health import connect
from scripts.instance import ROOT, make_parser, positive, window
from scripts.pacs import once
from scripts.pacs.results import Choice
from scripts.pacs.scorer import Scorer
from scripts.score import INTERRUPTED, stop_on_signals

DEADLINE_S = 120.0


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Options of whatever makes results."""
    default_run = Path(os.environ.get("LUNG_CT_RUN", ROOT / ".run"))
    run_help = f"folder of a server's run files; repeat for several servers (default: $LUNG_CT_RUN or {default_run})"
    parser.add_argument("--run", type=Path, action="append", help=run_help)
    parser.add_argument("--window", type=window, metavar="CENTRE,WIDTH", help="in HU, instead of the model's")
    parser.add_argument("--map", choices=SIZES, default=SIZES[0], help="full: at the slices' size, which OHIF overlays")
    parser.add_argument(
        "--report", choices=tuple(KINDS), default=next(iter(KINDS)), help="kind of SR (default %(default)s)"
    )
    parser.add_argument("--deidentified", action="store_true", help="leave out what PS3.15's basic profile names")
    parser.add_argument("--concurrency", type=positive, default=16, help="requests in flight (default %(default)s)")


def choose(args: argparse.Namespace) -> Choice:
    """What to make, by the options."""
    return Choice(args.map, args.report, args.deidentified)


def connect_scorer(args: argparse.Namespace) -> Scorer:
    """A scorer on the servers of the options; ServerError at once if one is not there."""
    runs = args.run or [Path(os.environ.get("LUNG_CT_RUN", ROOT / ".run"))]
    for each in runs:
        connect(each)
    return Scorer(Fleet(runs, DEADLINE_S), args.window)


def run_once(args: argparse.Namespace) -> int:
    """`pacs once`."""
    if args.source is None or args.out is None:
        print("pacs: name IN and OUT, or set MERCURE_IN_DIR and MERCURE_OUT_DIR.", file=sys.stderr)
        return 2
    if args.out.resolve().is_relative_to(args.source.resolve()):
        print("pacs: OUT lies inside IN, so results would be read next time; name another OUT.", file=sys.stderr)
        return 2
    stop = stop_on_signals()
    document = once.run(open_source(args.source), args.out, connect_scorer(args), choose(args), args.concurrency, stop)
    if stop.is_set():
        return INTERRUPTED
    if args.json:
        print(json.dumps(document))
    else:
        for series in document["series"]:
            print(f"pacs: {series['series']}: {series['scored']} of {series['slices']} slices, {series['decision']}.")
        print(f"pacs: results in {args.out}. {NOTICE}")
    return 1 if any(series["refused"] for series in document["series"]) or document["left_out"] else 0


def add_commands(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `lungct pacs`."""
    commands = parser.add_subparsers(dest="what", required=True)
    folder = commands.add_parser("once", help="score the series of a folder")
    folder.add_argument("source", nargs="?", type=Path, metavar="IN", default=_read_path("MERCURE_IN_DIR"))
    folder.add_argument("out", nargs="?", type=Path, metavar="OUT", default=_read_path("MERCURE_OUT_DIR"))
    folder.add_argument("--json", action="store_true", help="print result.json")
    add_result_options(folder)
    folder.set_defaults(act=run_once)


def _read_path(name: str) -> Path | None:
    return Path(os.environ[name]) if os.environ.get(name) else None


def main(arguments: list[str] | None = None) -> int:
    parser = make_parser(__doc__)
    parser.prog = "lungct pacs"
    add_commands(parser)
    args = parser.parse_args(arguments)
    try:
        return int(args.act(args))
    except SourceError as error:
        print(f"pacs: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"pacs: cannot use {error.filename}: {error.strerror}.", file=sys.stderr)
        return 2
    except (ServerError, TokenError, RefusedError) as error:
        print(f"pacs: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
