"""Which server a command speaks to: the one of a run folder, or one on another machine, through its gateway."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from lungct_client import Client, Gateway, HeaderError, Local, ServerError
from lungct_tools.commandline import add_run_option
from lungct_tools.server.health import check_live
from lungct_tools.server.instance import Instance

SERVER, KEY_FILE, CA = "LUNG_CT_SERVER", "LUNG_CT_KEY_FILE", "LUNG_CT_CA"


class ChoiceError(Exception):
    """The options name no server that can be asked."""


def add_server_options(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """The options of commands that need no more than a server that scores; `several`: --run may be repeated."""
    if several:
        told = "folder of a server's run files; repeat it for several servers (default: $LUNG_CT_RUN or .run)"
        parser.add_argument("--run", type=Path, action="append", help=told)
    else:
        add_run_option(parser)
    parser.add_argument(
        "--server",
        metavar="URL",
        default=os.environ.get(SERVER),
        help="a gateway's address, such as https://ct.example.org:8443, instead of --run (default: $LUNG_CT_SERVER)",
    )
    parser.add_argument(
        "--key-file",
        type=Path,
        default=os.environ.get(KEY_FILE),
        help="file that holds your key for the gateway (default: $LUNG_CT_KEY_FILE)",
    )
    parser.add_argument(
        "--ca",
        type=Path,
        default=os.environ.get(CA),
        help="PEM file of who signed the gateway's certificate, if the system trusts others (default: $LUNG_CT_CA)",
    )


def choose_server(args: argparse.Namespace) -> Local | Gateway:
    """The server that the options name; ChoiceError where a gateway's key cannot be had."""
    return open_gateway(args.server, args.key_file, args.ca) if args.server else Local.read(args.run)


def read_environment(run: Path) -> Local | Gateway:
    """The server that the environment names, for a process that was started with these options; else that of `run`."""
    if address := os.environ.get(SERVER):
        files = (Path(os.environ[name]) if name in os.environ else None for name in (KEY_FILE, CA))
        return open_gateway(address, *files)
    return Local.read(run)


def write_environment(args: argparse.Namespace) -> dict[str, str]:
    """What `read_environment` reads: names of files, never the key itself."""
    named = {SERVER: args.server, KEY_FILE: args.key_file, CA: args.ca}
    return {name: str(Path(value).resolve() if name != SERVER else value) for name, value in named.items() if value}


def open_gateway(address: str, key_file: Path | None, ca: Path | None) -> Gateway:
    """A gateway with the key that a file holds.

    Raises:
        ChoiceError: no https address, no key file, or a file that cannot be read.
    """
    if not address.startswith("https://"):
        raise ChoiceError(f"--server {address}: give https://HOST:PORT; a gateway speaks nothing else.")
    if key_file is None:
        raise ChoiceError("--server needs --key-file FILE with the key that the operator gave you.")
    if ca and not ca.is_file():
        raise ChoiceError(f"--ca {ca}: there is no such file.")
    try:
        words = key_file.read_text("ascii").split()
    except (OSError, ValueError) as error:
        raise ChoiceError(f"--key-file {key_file} cannot be read: {getattr(error, 'strerror', 'no text')}.") from None
    if len(words) != 1:
        raise ChoiceError(f"--key-file {key_file} holds {len(words)} words; it must hold the key alone.")
    try:
        return Gateway(address, words[0], ca)
    except HeaderError as error:
        raise ChoiceError(f"--key-file {key_file}: {error}") from None


def connect(server: Local | Gateway) -> Client:
    """A client of a server; at once, not after retries, ServerError if it is not there, RefusedError for a bad key."""
    if isinstance(server, Local):
        if reason := check_live(Instance.read(server.run)):
            raise ServerError(reason)
    else:
        Client(server, deadline_s=0).contract()
    return Client(server)
