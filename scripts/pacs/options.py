"""Options of `lungct pacs` that several subcommands share, and what they stand for."""

from __future__ import annotations

import argparse
from pathlib import Path

from lungct_tools.commandline import find_run, positive, window
from lungct_tools.dicomout.evidence import SIZES
from lungct_tools.dicomout.report import KINDS
from lungct_tools.folder.fleet import Fleet
from lungct_tools.folder.score import choose_servers
from lungct_tools.pacs.commitment import Commitments
from lungct_tools.pacs.cstore import Peer
from lungct_tools.pacs.dicomweb import is_here
from lungct_tools.pacs.keeper import Terms
from lungct_tools.pacs.outbox import Destination, StoreDestination, StowDestination
from lungct_tools.pacs.results import Choice
from lungct_tools.pacs.scorer import Scorer
from lungct_tools.pacs.spool import SpoolError
from lungct_tools.server.choice import add_server_options

DEADLINE_S = 120.0
HOUR_S = 3600.0


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Options of whatever makes results."""
    add_server_options(parser, several=True)
    parser.add_argument("--window", type=window, metavar="CENTRE,WIDTH", help="in HU, instead of the model's")
    parser.add_argument("--map", choices=SIZES, default=SIZES[0], help="full: at the slices' size, which OHIF overlays")
    parser.add_argument("--report", choices=tuple(KINDS), default=next(iter(KINDS)), help="SR (default %(default)s)")
    parser.add_argument("--deidentified", action="store_true", help="leave out what PS3.15's basic profile names")
    parser.add_argument("--concurrency", type=positive, default=16, help="requests in flight (default %(default)s)")


def add_spool_option(parser: argparse.ArgumentParser) -> None:
    """Where the spool is."""
    parser.add_argument("--spool", type=Path, help="folder of what is under way, patient data (default: pacs in --run)")


def add_service_options(parser: argparse.ArgumentParser, to_help: str) -> None:
    """Options of whatever keeps a spool."""
    add_spool_option(parser)
    parser.add_argument("--to", action="append", default=[], metavar="PEER", help=to_help)
    parser.add_argument("--title", default="LUNGCT", help="our AE title (default %(default)s)")
    parser.add_argument("--credentials", type=Path, help="file for DICOMweb: NAME:PASSWORD or Bearer TOKEN, mode 600")
    parser.add_argument("--archive-ca", type=Path, help="PEM file of who signed the archive's certificate")
    parser.add_argument("--trust-network", action="store_true", help="allow unprotected links beyond this machine")
    parser.add_argument("--retry-refused", action="store_true", help="send results again that a peer refused")
    parser.add_argument(
        "--quiet", type=float, default=20, help="seconds without a slice that end a series (%(default)s)"
    )
    parser.add_argument("--quota", type=float, default=20, help="GB that the spool may take (default %(default)s)")
    parser.add_argument("--keep", type=float, default=24, help="hours after the peer confirmed (default %(default)s)")
    parser.add_argument("--keep-failed", type=float, default=168, help="hours after a refusal (default %(default)s)")


def choose(args: argparse.Namespace) -> Choice:
    """What to make."""
    return Choice(args.map, args.report, args.deidentified)


def read_terms(args: argparse.Namespace) -> Terms:
    """How long things wait."""
    return Terms(args.quiet, args.keep * HOUR_S, args.keep_failed * HOUR_S)


def find_spool(args: argparse.Namespace) -> Path:
    """The spool's folder: of the option, else in the first server's run folder."""
    return Path(args.spool or (args.run or [find_run()])[0] / "pacs")


def connect_scorer(args: argparse.Namespace) -> Scorer:
    """A scorer on the servers of the options; ServerError at once if one is not there."""
    return Scorer(Fleet(choose_servers(args), DEADLINE_S), args.window)


def open_destinations(args: argparse.Namespace, commitments: Commitments | None = None) -> list[Destination]:
    """The peers of --to; SpoolError for an address that is none, or a link that anybody on the way could read."""
    found: list[Destination] = []
    for text in args.to:
        if text.startswith(("http://", "https://")):
            check_link(text.startswith("https://") or is_here(text), text, args.trust_network)
            found.append(StowDestination(text, args.credentials, args.archive_ca))
            continue
        try:
            peer = Peer.read(text)
        except ValueError as error:
            raise SpoolError(f"--to {text}: {error}, or an address of DICOMweb.") from None
        check_link(is_here(f"dicom://{peer.host}"), text, args.trust_network)
        found.append(StoreDestination(text, args.title, commitments))
    return found


def check_link(protected: bool, text: str, trusted: bool) -> None:
    """SpoolError for patient data in clear over a network that nobody vouched for."""
    if not (protected or trusted):
        raise SpoolError(
            f"What goes to {text} could be read on the way; use https, or say --trust-network where nobody can."
        )
