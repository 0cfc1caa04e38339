"""Score a folder, a ZIP or a list of slices of any size, over night if need be. Research use only.

    lungct score scans/ scores/
    lungct score inbox/ scores/ --resume --watch             # and go on with what arrives
    lungct score scans.zip scores/ --heatmap abnormal --concurrency 32
    lungct score scans/ scores/ --run .run --run /tmp/b      # two servers
    lungct score scans/ scores/ --resume                     # go on after Ctrl-C, a crash, or when IN has grown

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
from lungct_tools.folder.archive import open_source
from lungct_tools.folder.fleet import Fleet
from lungct_tools.folder.journal import Journal, JournalError
from lungct_tools.folder.report import write_report
from lungct_tools.folder.rollup import Totals
from lungct_tools.folder.scoring import Order, Run
from lungct_tools.folder.source import Source, SourceError, stamp_path
from lungct_tools.folder.watch import EVERY_S, Settled
from lungct_tools.packages.lacking import explain_lacking
from lungct_tools.server.choice import ChoiceError, add_server_options, choose_server, connect

INTERRUPTED = 130


def parse_arguments() -> argparse.Namespace:
    """Parse the command line; a wrong one exits 2."""
    parser = make_parser(__doc__)
    parser.add_argument("source", type=Path, metavar="IN", help="folder, ZIP, list of paths (.txt) or one file")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for what is written")
    add_server_options(parser, several=True)
    parser.add_argument("--resume", action="store_true", help="go on with what OUT holds: score what is new or changed")
    parser.add_argument("--watch", action="store_true", help="go on looking for new slices in IN, until Ctrl-C")
    add_scoring_options(parser, "draw it for these, into OUT/overlays")
    parser.add_argument("--uids", action="store_true", help="write study and series UIDs instead of their hashes")
    add_format_option(parser)
    parser.add_argument(
        "--deadline", type=float, default=120, help="seconds to wait for a server (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the totals as JSON")
    return parser.parse_args()


def add_format_option(parser: argparse.ArgumentParser) -> None:
    """The option that says in which forms the table of slices is written."""
    parser.add_argument(
        "--format", choices=("parquet", "jsonl"), default="parquet", help="jsonl: without slices.parquet"
    )


def choose_servers(args: argparse.Namespace) -> list[Local | Gateway]:
    """The servers that the options name, each of which answers now."""
    servers = [choose_server(args)] if args.server else [Local.read(run) for run in args.run or [find_run()]]
    for server in servers:
        connect(server)
    return servers


def check_format(args: argparse.Namespace) -> str | None:
    """None when the tables can be written here, else the reason."""
    if args.format == "parquet" and not find_spec("pyarrow"):
        return f"{explain_lacking('parquet') or 'Parquet needs pyarrow.'} Or add --format jsonl."
    return None


def check_places(args: argparse.Namespace) -> str | None:
    """None when IN and OUT can be used together, else the reason."""
    if reason := check_format(args):
        return reason
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


def show(totals: Totals, out: Path, as_json: bool, name: str = "score") -> None:
    """The totals on standard output; `name` of the command stands before each line."""
    if as_json:
        counts = {"labels": totals.labels, "decisions": totals.decisions, "errors": totals.errors}
        counts |= {"copies": totals.copies}
        print(json.dumps({"slices": totals.slices, **counts, "series": len(totals.series), "notice": NOTICE}))
        return
    labels = ", ".join(f"{count:,} {label}" for label, count in totals.labels.most_common()) or "none"
    print(f"{name}: {totals.slices:,} slices in {len(totals.series):,} series: {labels}.")
    if totals.decisions["refer"]:
        print(f"{name}: {totals.decisions['refer']:,} to refer: a person must read them.")
    if totals.copies:
        print(f"{name}: {totals.copies:,} copies of other slices were set aside.")
    for code, count in totals.errors.most_common():
        print(f"{name}: {count:,} refused: {code}.")
    print(f"{name}: look at {out / 'summary.html'} first. {NOTICE}")


def look(args: argparse.Namespace) -> Source:
    """IN as it is now; without what is being written to while more may come."""
    source = open_source(args.source)
    return Settled(source) if args.watch else source


def visit(args: argparse.Namespace, run: Run, before: Totals | None = None) -> Totals | None:
    """Score what is new, write and show the results where they are others than `before`; None when it was stopped."""
    stamp = stamp_path(run.journal.path)
    if not run.score():
        return None
    if before is None or stamp_path(run.journal.path) != stamp:
        before = write_report(run, args.format == "parquet")
        show(before, args.out, args.json)
    return before


def main() -> int:
    args = parse_arguments()
    stop = stop_on_signals()
    if reason := check_places(args):
        print(f"score: {reason}", file=sys.stderr)
        return 2
    try:
        if next(look(args).entries(), None) is None and not args.watch:
            raise SourceError(f"There are no files in {args.source}.")
        fleet = Fleet(choose_servers(args), args.deadline)
        contract = fleet.contract()
        order = Order.make(contract, args.heatmap, args.window, args.uids)
        args.out.mkdir(parents=True, exist_ok=True)
        order.keep(args.out / "run.json", args.resume)
        with Journal(args.out / "slices.jsonl") as journal:
            totals = visit(args, Run(look(args), journal, fleet, order, args.concurrency, stop, contract))
            while args.watch and totals and not stop.wait(EVERY_S):
                totals = visit(args, Run(look(args), journal, fleet, order, args.concurrency, stop, contract), totals)
    except (SourceError, JournalError, ChoiceError) as error:
        print(f"score: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"score: cannot write {error.filename or args.out}: {error.strerror}.", file=sys.stderr)
        return 2
    except (ServerError, TokenError, RefusedError) as error:
        print(f"score: {error} Go on with --resume.", file=sys.stderr)
        return 3
    return INTERRUPTED if totals is None else 1 if totals.errors else 0
