"""What an update is told to do: to which archive, for how many of the requests."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from lungct_tools.commandline import add_run_option, make_parser
from lungct_tools.server.instance import Instance
from lungct_tools.server.seal import NAME, ArchiveError, check_seal, find_seal


def percent(text: str, most: float = 99.99) -> float:
    """A share such as 10%, for options."""
    number = round(float(text.removesuffix("%")), 2)  # as nginx has it
    if not 0 < number <= most:
        raise argparse.ArgumentTypeError(f"must be over 0% and at most {most:g}%, such as 10%")
    return number


def read_options(description: str | None) -> argparse.Namespace:
    """The options as they were given, one of archive, --promote and --back among them."""
    parser = make_parser(description)
    add_run_option(parser)
    parser.add_argument("archive", type=Path, nargs="?", help="the new lung_ct.mar")
    parser.add_argument("--canary", type=percent, metavar="SHARE", help="only that share of the requests, such as 10%%")
    copies = "only copies of that share, 10%% unless told: the old archive goes on answering, both are compared"
    copied = partial(percent, most=100)
    parser.add_argument("--shadow", type=copied, nargs="?", const=10, metavar="SHARE", help=copies)
    parser.add_argument("--promote", action="store_true", help="the archive of a canary or shadow for all requests")
    told = "end the canary or shadow; without one the archive of before, lung_ct.mar.previous, instead"
    parser.add_argument("--back", action="store_true", help=told)
    parser.add_argument("--deadline", type=float, default=180, help="seconds to become ready (default %(default)s)")
    args = parser.parse_args()
    if sum((bool(args.archive), args.promote, args.back)) != 1:
        parser.error("name an archive, or give --back or --promote")
    if (args.canary or args.shadow) and not args.archive:
        parser.error("--canary and --shadow need an archive")
    if args.canary and args.shadow:
        parser.error("--canary and --shadow exclude each other")
    return args


def find_archive(args: argparse.Namespace, instance: Instance) -> Path:
    """The archive that is meant.

    Raises:
        ArchiveError: there is none, or it is not the one that was sealed.
    """
    if args.promote:
        raise ArchiveError("no canary or shadow is under way; `lungct update ARCHIVE --canary 10%` begins one.")
    archive = args.archive or instance.store / f"{NAME}.previous"
    if args.back and not archive.is_file():
        raise ArchiveError(f"there is no {archive}: no update has changed the archive yet.")
    check_seal(archive, find_seal(archive))
    return archive


def say_done(args: argparse.Namespace, settling: bool) -> str:
    """What the update has done; `settling`: with the canary or shadow that was under way."""
    if share := args.canary or args.shadow:
        has = "gets copies of" if args.shadow else "has"
        return f"{args.archive} {has} {share:g} % of the requests; `lungct update --promote` or `--back` comes next"
    if args.promote:
        return "the archive that was tried serves"
    if settling:
        return "the second server has ended; the archive of before serves all requests"
    return f"{'the archive of before' if args.back else args.archive} serves"
