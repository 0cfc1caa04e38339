"""Series in from a PACS, results out as DICOM. Research use only. Not a medical device.

    lungct pacs once IN OUT                                            # a folder; also a mercure module
    lungct pacs listen --to http://127.0.0.1:8042/dicom-web            # C-STORE in, STOW-RS out
    lungct pacs listen --to ORTHANC@127.0.0.1:4242 --quiet 30          # C-STORE in and out
    lungct pacs pull http://127.0.0.1:8042/dicom-web --study 1.2.3     # QIDO-RS and WADO-RS in, results back there
    lungct pacs status                                                 # what the spool holds, by hashes

A drawn series to try it with: lungct phantom OUT --series --count 30

Exit codes: 0 done, 1 some slices refused, 2 nothing to score or wrong options, 3 server or archive down, 130 stopped by
Ctrl-C (`listen` and `pull` go on where they stopped).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from lungct import NOTICE
from lungct_client import RefusedError, ServerError, TokenError
from lungct_tools.commandline import find_run, make_parser, port
from lungct_tools.folder.archive import open_source
from lungct_tools.folder.journal import JournalError
from lungct_tools.folder.score import INTERRUPTED, stop_on_signals
from lungct_tools.folder.source import SourceError
from lungct_tools.pacs import link, listen, once, options, pull, service
from lungct_tools.pacs.commitment import Commitments
from lungct_tools.pacs.dicomweb import ArchiveError, DicomWeb, is_here
from lungct_tools.pacs.numbers import read_numbers, record_spool
from lungct_tools.pacs.spool import FullError, Spool, SpoolError
from lungct_tools.pacs.status import survey
from lungct_tools.server.choice import ChoiceError
from lungct_tools.server.runfolder import RunFolderError, check_ours, resolve

GIGABYTE = 10**9


def run_once(args: argparse.Namespace) -> int:
    """`pacs once`."""
    if args.source is None or args.out is None:
        raise SpoolError("name IN and OUT, or set MERCURE_IN_DIR and MERCURE_OUT_DIR.")
    if args.out.resolve().is_relative_to(args.source.resolve()):
        raise SpoolError("OUT lies inside IN, so results would be read next time; name another OUT.")
    stop = stop_on_signals()
    scorer = options.connect_scorer(args)
    document = once.run(open_source(args.source), args.out, scorer, options.choose(args), args.concurrency, stop)
    if stop.is_set():
        return INTERRUPTED
    if args.json:
        print(json.dumps(document))
    else:
        for series in document["series"]:
            print(f"pacs: {series['series']}: {series['scored']} of {series['slices']} slices, {series['decision']}.")
        print(f"pacs: results in {args.out}. {NOTICE}")
    return 1 if any(series["refused"] for series in document["series"]) or document["left_out"] else 0


def run_listen(args: argparse.Namespace) -> int:
    """`pacs listen`: until Ctrl-C or SIGTERM."""
    tls = (args.tls_cert, args.tls_key, args.tls_ca)
    if any(tls) and not all(tls):
        raise SpoolError("TLS needs all of --tls-cert, --tls-key and --tls-ca.")
    listen.check_address(args.address, all(tls), args.trust_network)
    context = link.secure(*tls) if all(tls) else None
    commitments = Commitments()
    destinations = options.open_destinations(args, commitments)
    for away in (each.name for each in destinations if not each.answers()):
        print(f"pacs: {away} does not answer now; results wait until it does.", file=sys.stderr, flush=True)
    if not destinations:
        gone = f"and are deleted after {args.keep:g} hours"
        print(f"pacs: without --to results go nowhere, {gone}.", file=sys.stderr, flush=True)
    stop = stop_on_signals()
    terms = options.read_terms(args)
    with (
        open_spool(args) as spool,
        service.keeping(
            spool, lambda: options.connect_scorer(args), options.choose(args), destinations, terms, args.concurrency
        ) as keeper,
    ):
        for run in args.run or [find_run()]:
            if not record_spool(run, spool.root):
                print(
                    f"pacs: the exporter beside {run} is not told of this spool: it is no folder of yours alone.",
                    file=sys.stderr,
                    flush=True,
                )
        place = (args.address, args.port)
        listener = listen.Listener(spool, keeper.arrive, commitments, args.title, place, context)
        print(f"pacs: {args.title} listens at {args.address}:{listener.port}. {NOTICE}", flush=True)
        try:
            service.run(keeper, stop, until_idle=False)
        finally:
            listener.close()
    return 0


def run_pull(args: argparse.Namespace) -> int:
    """`pacs pull`: fetch, score, and send; done when every peer has confirmed."""
    options.check_link(args.archive.startswith("https://") or is_here(args.archive), args.archive, args.trust_network)
    args.to = args.to or [args.archive]
    filters = {"StudyInstanceUID": args.study, "ModalitiesInStudy": "CT", "StudyDate": args.date}
    destinations = options.open_destinations(args)
    stop = stop_on_signals()
    terms = options.read_terms(args)
    with (
        open_spool(args) as spool,
        service.keeping(
            spool, lambda: options.connect_scorer(args), options.choose(args), destinations,
            terms._replace(quiet=0), args.concurrency,
        ) as keeper,
    ):  # fmt: skip
        web = DicomWeb(args.archive, args.credentials, args.archive_ca)
        counts = pull.pull(web, {name: value for name, value in filters.items() if value}, spool, keeper.arrive)
        spool.note("pulled", **counts)
        print(f"pacs: {', '.join(f'{count} {name}' for name, count in sorted(counts.items())) or 'nothing matches'}.")
        service.run(keeper, stop, until_idle=True)
        refused = keeper.refusals()
    if stop.is_set():
        return INTERRUPTED
    if not counts:
        return 2
    return 1 if refused or set(counts) - {"fetched", "known"} else 0


def run_status(args: argparse.Namespace) -> int:
    """`pacs status`."""
    root = options.find_spool(args)
    if not root.is_dir():
        raise SpoolError(f"There is no spool at {root}; name it with --spool.")
    numbers = read_numbers(root)
    rows = survey(root, set(numbers["peers"]) if numbers else None, args.identify)
    if args.json:
        print(json.dumps({"series": rows, "notice": NOTICE}))
        return 0
    for row in rows:
        more = "".join(f", {key} {row[key]}" for key in ("reason", "study_uid", "series_uid") if key in row)
        print(
            f"{row['series']}  {row['state']:8} {row['scored']}/{row['slices']} slices, version {row['version']}{more}"
        )
    print(f"pacs: {len(rows)} series. {NOTICE}")
    return 0


def open_spool(args: argparse.Namespace) -> Spool:
    """The spool of the options, for this process alone; SpoolError for one in a run folder of another user."""
    root = options.find_spool(args)
    try:
        if args.spool is None:
            check_ours(resolve(root.parent))
    except RunFolderError as error:
        raise SpoolError(str(error)) from None
    spool = Spool(root, int(args.quota * GIGABYTE))
    if args.retry_refused:
        for version in (version for series in spool.series() for version in series.versions()):
            version.forget_refusals()
    return spool


def add_commands(parser: argparse.ArgumentParser) -> None:
    """The subcommands of `lungct pacs`."""
    commands = parser.add_subparsers(dest="what", required=True)
    folder = commands.add_parser("once", help="score the series of a folder")
    folder.add_argument("source", nargs="?", type=Path, metavar="IN", default=_read_path("MERCURE_IN_DIR"))
    folder.add_argument("out", nargs="?", type=Path, metavar="OUT", default=_read_path("MERCURE_OUT_DIR"))
    folder.add_argument("--json", action="store_true", help="print result.json")
    options.add_result_options(folder)
    folder.set_defaults(act=run_once)

    listening = commands.add_parser("listen", help="take slices by C-STORE, send results")
    listening.add_argument("--address", default="127.0.0.1", help="to listen at (default %(default)s)")
    listening.add_argument("--port", type=port, default=11112, help="default %(default)s; 0: any free one")
    for name, what in (("cert", "our certificate"), ("key", "its key"), ("ca", "who signed the clients'")):
        listening.add_argument(f"--tls-{name}", type=Path, help=f"PEM file: {what}")
    options.add_result_options(listening)
    options.add_service_options(listening, "where results go: http(s)://... (STOW-RS) or AET@HOST:PORT; repeat it")
    listening.set_defaults(act=run_listen)

    pulling = commands.add_parser("pull", help="fetch series by DICOMweb, send results")
    pulling.add_argument("archive", help="address of its DICOMweb, such as https://pacs.example.org/dicom-web")
    pulling.add_argument("--study", help="StudyInstanceUID")
    pulling.add_argument("--date", help="StudyDate: 20260101 or 20260101-20260131")
    options.add_result_options(pulling)
    options.add_service_options(pulling, "where results go (default: the archive itself)")
    pulling.set_defaults(act=run_pull)

    state = commands.add_parser("status", help="what the spool holds")
    state.add_argument("--run", type=Path, action="append", help="folder of the server's run files")
    options.add_spool_option(state)
    state.add_argument("--identify", action="store_true", help="show study and series UIDs")
    state.add_argument("--json", action="store_true", help="print it as JSON")
    state.set_defaults(act=run_status)


def _read_path(name: str) -> Path | None:
    return Path(os.environ[name]) if os.environ.get(name) else None


def main(arguments: list[str] | None = None) -> int:
    parser = make_parser(__doc__)
    parser.prog = "lungct pacs"
    add_commands(parser)
    args = parser.parse_args(arguments)
    try:
        return int(args.act(args))
    except (ChoiceError, SourceError, SpoolError, JournalError, FullError) as error:
        print(f"pacs: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"pacs: cannot use {error.filename or 'the address'}: {error.strerror}.", file=sys.stderr)
        return 2
    except (ServerError, TokenError, RefusedError, ArchiveError) as error:
        print(f"pacs: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
