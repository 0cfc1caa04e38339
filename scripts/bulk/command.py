"""Score slices by the million in many processes, without a server. Research use only. Not a medical device.

    lungct bulk list scans/ scans.manifest             # once: every file, grouped by series
    lungct bulk run scans.manifest scores/             # all of it, here
    lungct bulk run scans.manifest scores/ --shard 2/8 # the third of eight shares; any machine that sees the files
    lungct bulk ray scans.manifest scores/ --address HEAD:6379  # or all shares as tasks of a Ray cluster
    lungct bulk gather scores/                         # once all shards are done: tables, series, summary

`run` does the share that a Kubernetes Indexed Job or a Slurm array gives it where --shard is not said. It goes on where
it was stopped or killed: what a part in OUT/parts holds is not scored again. Rows are those of `lungct score`.
Each place may be s3://BUCKET/PREFIX, reached by the usual AWS variables (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...).

Exit codes: 0 done (`gather`: 1 some slices were refused), 2 nothing to score or wrong options, 3 the engine is broken
or shards are missing (run them again), 130 stopped by Ctrl-C (run it again).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from lungct import NOTICE
from lungct.errors import ModelFolderError
from lungct.settings import count_cores
from lungct_client import ServerError
from lungct_tools.bulk.cluster import ClusterError, joining, locate, score_shards
from lungct_tools.bulk.core import find_model, holding
from lungct_tools.bulk.faults import BucketError, UnavailableError
from lungct_tools.bulk.listing import list_series
from lungct_tools.bulk.manifest import Manifest, ManifestError, write_manifest
from lungct_tools.bulk.parts import Parts
from lungct_tools.bulk.place import holds, parse_place, staging
from lungct_tools.bulk.plan import find_count, read_plan
from lungct_tools.bulk.shard import COUNT, Shard, ShardError
from lungct_tools.bulk.source import open_input
from lungct_tools.bulk.work import Work
from lungct_tools.commandline import add_window_option, make_parser, positive
from lungct_tools.folder.journal import JournalError
from lungct_tools.folder.report import write_report
from lungct_tools.folder.score import INTERRUPTED, add_format_option, check_format, show, stop_on_signals
from lungct_tools.folder.scoring import Run
from lungct_tools.folder.source import SourceError
from lungct_tools.server.seal import ArchiveError

TOLD = 20  # shards that are missing
SHARDS = 64  # of a run by Ray, unless it says so or was begun with others
STOPPED = "bulk: stopped; run it again to go on."


def run_list(args: argparse.Namespace) -> int:
    """`bulk list`."""
    source, root = open_input(args.source)
    if args.source.is_dir() and holds(root, args.manifest):
        raise SourceError("MANIFEST lies inside IN, so it would be listed next time; name another place.")
    header = write_manifest(list_series(source, args.processes), root, args.manifest)
    print(f"bulk: {header.files:,} files in {header.series:,} series listed in {args.manifest}. {NOTICE}")
    return 0


def run_shard(args: argparse.Namespace) -> int:
    """`bulk run`."""
    shard = Shard.parse(args.shard) if args.shard else Shard.find(os.environ)
    meter = make_work(args).score(shard, stop_on_signals())
    if meter is None:
        print(STOPPED, file=sys.stderr)
        return INTERRUPTED
    print(f"bulk: shard {shard.index}/{shard.count} is done: {meter.done:,} files, {meter.rate:.0f}/s. {NOTICE}")
    return 0


def run_ray(args: argparse.Namespace) -> int:
    """`bulk ray`."""
    work = locate(make_work(args))
    manifest = Manifest(work.manifest, work.root)
    count = args.shards or find_count(work.out) or SHARDS
    work.keep(work.plan(manifest, count))
    try:
        if missing := [Shard(index, count) for index in Parts(work.out, manifest, count).find_missing()]:
            spread(args.address, work, missing)
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        return INTERRUPTED
    print(f"bulk: all {count:,} shards are done; gather them. {NOTICE}")
    return 0


def spread(address: str | None, work: Work, missing: Sequence[Shard]) -> None:
    """Have shards done by a cluster, and tell of each; SIGTERM ends it as Ctrl-C does."""
    with joining(address) as ray:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        for done, (shard, files) in enumerate(score_shards(ray, work, missing), 1):
            told = f"{files:,} files; {len(missing) - done:,} shards left"
            print(f"bulk: shard {shard.index}/{shard.count} is done: {told}.", flush=True)


def make_work(args: argparse.Namespace) -> Work:
    """What the options say; the model that ships is that of whoever scores."""
    model = None if args.model == find_model() else args.model
    return Work(args.manifest, args.out, args.root, model, args.threads, args.device, args.window)


def run_gather(args: argparse.Namespace) -> int:
    """`bulk gather`."""
    if reason := check_format(args):
        raise SourceError(reason)
    plan, place = read_plan(args.out)
    manifest = Manifest(args.manifest or place, args.root)
    if manifest.header.sha256 != plan.manifest_sha256:
        raise ManifestError(f"{manifest.path} is not what {args.out} was made by; name that by --manifest.")
    parts = Parts(args.out, manifest, plan.shards)
    if missing := parts.find_missing():
        named = ", ".join(map(str, missing[:TOLD])) + (", ..." if len(missing) > TOLD else "")
        print(f"bulk: {len(missing)} of {plan.shards} shards are not done: {named}. Run them again.", file=sys.stderr)
        return 3
    with holding(args.model, args.threads, args.device) as core:  # it draws the summary's pictures
        if core.model_sha256 != plan.model_sha256:
            raise JournalError(f"{args.model} is not the model that {args.out} was made by; name that by --model.")
        with staging(args.out) as parts.tables:
            run = Run(manifest, parts, core, plan.order, 1, threading.Event(), core.contract())
            totals = write_report(run, args.format == "parquet")
    show(totals, args.out, args.json, "bulk")
    if parts.strayed:
        told = f"bulk: {parts.strayed:,} files had another series when they were listed, which may now have two rows in"
        print(f"{told} series.csv; list and score them again.", file=sys.stderr)
    return 1 if totals.errors else 0


def add_core_options(parser: argparse.ArgumentParser, threads: int) -> None:
    """Options of what holds the model."""
    told = "where the files of MANIFEST lie here"
    parser.add_argument("--in", dest="root", type=parse_place, metavar="DIR", help=told)
    model = find_model()
    parser.add_argument("--model", type=Path, default=model, help="folder, or archive with its seal (%(default)s)")
    parser.add_argument(
        "--threads", type=positive, default=threads, help="of decoding and network (default %(default)s)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, or a GPU such as cuda:0 (default %(default)s)")


def add_commands(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `lungct bulk`."""
    commands = parser.add_subparsers(dest="what", required=True)
    listing = commands.add_parser("list", help="list the files of a folder, grouped by series")
    told = "folder, list of paths (.txt), one file, or s3://BUCKET/PREFIX"
    listing.add_argument("source", type=parse_place, metavar="IN", help=told)
    listing.add_argument("manifest", type=parse_place, metavar="MANIFEST", help="file to write, or s3://BUCKET/KEY")
    listing.add_argument("--processes", type=positive, default=count_cores(), help="(default %(default)s)")
    listing.set_defaults(act=run_list)

    running = commands.add_parser("run", help="score one shard, or all")
    running.add_argument("manifest", type=parse_place, metavar="MANIFEST")
    told = "folder or s3://BUCKET/PREFIX for what is written; all shards name the same"
    running.add_argument("out", type=parse_place, metavar="OUT", help=told)
    running.add_argument(
        "--shard", metavar="I/N", help=f"from 0/N to N-1/N (default: of the Job or array, with ${COUNT}; else 0/1)"
    )
    add_core_options(running, count_cores())
    add_window_option(running)
    running.set_defaults(act=run_shard)

    spreading = commands.add_parser("ray", help="score all shards as tasks of a Ray cluster")
    spreading.add_argument("manifest", type=parse_place, metavar="MANIFEST")
    spreading.add_argument("out", type=parse_place, metavar="OUT", help="as of `run`; all nodes must see both")
    spreading.add_argument("--address", metavar="HOST:PORT", help="of a cluster (default: one on this machine, alone)")
    told = f"a task each (default: those that OUT was begun with, else {SHARDS})"
    spreading.add_argument("--shards", type=positive, metavar="N", help=told)
    add_core_options(spreading, min(2, count_cores()))
    add_window_option(spreading)
    spreading.set_defaults(act=run_ray)

    gathering = commands.add_parser("gather", help="tables, series and summary of all shards")
    gathering.add_argument("out", type=parse_place, metavar="OUT")
    gathering.add_argument("--manifest", type=parse_place, help="where it lies here, if not where `run` read it")
    add_core_options(gathering, count_cores())
    add_format_option(gathering)
    gathering.add_argument("--json", action="store_true", help="print the totals as JSON")
    gathering.set_defaults(act=run_gather)


def main(arguments: list[str] | None = None) -> int:
    parser = make_parser(__doc__)
    parser.prog = "lungct bulk"
    add_commands(parser)
    try:
        args = parser.parse_args(arguments)
        return int(args.act(args))
    except UnavailableError as error:
        print(f"bulk: {error}", file=sys.stderr)
        return 3
    except (
        SourceError,
        ManifestError,
        ShardError,
        JournalError,
        ModelFolderError,
        ArchiveError,
        BucketError,
        ClusterError,
    ) as error:
        print(f"bulk: {error}", file=sys.stderr)
        return 2
    except (ServerError, RuntimeError, ImportError) as error:
        print(f"bulk: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("bulk: stopped; nothing was written.", file=sys.stderr)
        return INTERRUPTED
