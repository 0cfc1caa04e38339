"""Score a folder, a ZIP or a list of slices of any size, over night if need be. Research use only.

    lungct score scans/ scores/
    lungct score scans.zip scores/ --heatmap abnormal --concurrency 32
    lungct score scans/ scores/ --run .run --run /tmp/b      # two servers
    lungct score scans/ scores/ --resume                     # go on after Ctrl-C or a crash

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
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from lungct import NOTICE
from lungct_client import Gateway, Local, RefusedError, ServerError, TokenError
from lungct_tools.commandline import add_scoring_options, find_run, make_parser
from lungct_tools.folder.fleet import Fleet
from lungct_tools.folder.journal import Journal, JournalError
from lungct_tools.folder.meter import Meter
from lungct_tools.folder.report import write_report
from lungct_tools.folder.rollup import Totals
from lungct_tools.folder.scoring import Order, run_ordered, score_slice, skip_done
from lungct_tools.folder.source import Source, SourceError, open_source
from lungct_tools.server.choice import ChoiceError, add_server_options, choose_server, connect

INTERRUPTED = 130


def parse_arguments() -> argparse.Namespace:
    """Parse the command line; a wrong one exits 2."""
    parser = make_parser(__doc__)
    parser.add_argument("source", type=Path, metavar="IN", help="folder, ZIP, list of paths (.txt) or one file")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for what is written")
    add_server_options(parser, several=True)
    parser.add_argument("--resume", action="store_true", help="go on with the run that OUT holds")
    add_scoring_options(parser, "draw it for these, into OUT/overlays")
    parser.add_argument("--uids", action="store_true", help="write study and series UIDs instead of their hashes")
    parser.add_argument(
        "--format", choices=("parquet", "jsonl"), default="parquet", help="jsonl: without slices.parquet"
    )
    parser.add_argument(
        "--deadline", type=float, default=120, help="seconds to wait for a server (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the totals as JSON")
    return parser.parse_args()


def choose_servers(args: argparse.Namespace) -> list[Local | Gateway]:
    """The servers that the options name, each of which answers now."""
    servers = [choose_server(args)] if args.server else [Local.read(run) for run in args.run or [find_run()]]
    for server in servers:
        connect(server)
    return servers


def check_places(args: argparse.Namespace) -> str | None:
    """None when IN and OUT can be used together, else the reason."""
    if args.format == "parquet" and not find_spec("pyarrow"):
        return "Parquet needs pyarrow; install it or add --format jsonl."
    if args.out.resolve().is_relative_to(args.source.resolve()):
        return "OUT lies inside IN, so the results would be scored next time; name another OUT."
    if (args.out / "slices.jsonl").exists() and not args.resume:
        return f"{args.out} holds a run already; add --resume to go on with it, or name another OUT."
    return None


def stop_on_signals() -> threading.Event:
    """An event that the first Ctrl-C or SIGTERM sets, so that slices in flight are kept; a second one ends at once."""
    stop = threading.Event()

    def stop_gently(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGINT, stop_gently)
    signal.signal(signal.SIGTERM, stop_gently)
    return stop


def score_all(
    source: Source, journal: Journal, fleet: Fleet, order: Order, concurrency: int, stop: threading.Event
) -> Meter:
    """Score what the journal does not hold yet; the meter says how far it came."""
    total = sum(1 for _ in source.names())
    names = source.names()
    overlays = journal.path.parent / "overlays"
    if order.heatmap != "none":
        overlays.mkdir(exist_ok=True)
    with Meter(total, skip_done(names, journal)) as meter:
        for row in run_ordered(
            lambda name: score_slice(source, name, fleet, order, overlays), names, concurrency, stop
        ):
            journal.append(row)
            meter.advance()
    return meter


def show(totals: Totals, out: Path, as_json: bool) -> None:
    """The totals on standard output."""
    if as_json:
        counts = {"labels": totals.labels, "decisions": totals.decisions, "errors": totals.errors}
        print(json.dumps({"slices": totals.slices, **counts, "series": len(totals.series), "notice": NOTICE}))
        return
    labels = ", ".join(f"{count:,} {name}" for name, count in totals.labels.most_common()) or "none"
    print(f"score: {totals.slices:,} slices in {len(totals.series):,} series: {labels}.")
    if totals.decisions["refer"]:
        print(f"score: {totals.decisions['refer']:,} to refer: a person must read them.")
    for code, count in totals.errors.most_common():
        print(f"score: {count:,} refused: {code}.")
    print(f"score: look at {out / 'summary.html'} first. {NOTICE}")


def main() -> int:
    args = parse_arguments()
    stop = stop_on_signals()
    if reason := check_places(args):
        print(f"score: {reason}", file=sys.stderr)
        return 2
    try:
        source = open_source(args.source)
        if next(source.names(), None) is None:
            raise SourceError(f"There are no files in {args.source}.")
        fleet = Fleet(choose_servers(args), args.deadline)
        order = Order.make(fleet.contract(), args.heatmap, args.window, args.uids)
        args.out.mkdir(parents=True, exist_ok=True)
        order.keep(args.out / "run.json", args.resume)
        with Journal(args.out / "slices.jsonl") as journal:
            meter = score_all(source, journal, fleet, order, args.concurrency, stop)
            if meter.done < meter.total:
                print(f"score: stopped after {meter.describe()}; go on with --resume.", file=sys.stderr)
                return INTERRUPTED
            totals = write_report(args.out, journal, order, source, fleet, args.format == "parquet")
    except (SourceError, JournalError, ChoiceError) as error:
        print(f"score: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"score: cannot write {error.filename}: {error.strerror}.", file=sys.stderr)
        return 2
    except (ServerError, TokenError, RefusedError) as error:
        print(f"score: {error} Go on with --resume.", file=sys.stderr)
        return 3
    show(totals, args.out, args.json)
    return 1 if totals.errors else 0
