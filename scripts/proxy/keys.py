"""Give clients of the gateway a key, or take it away. A key is shown once, when it is made.

    make key NAME=alice
    lungct key add alice
    lungct key list
    lungct key remove alice

Adding for a name that has a key replaces it. A gateway that runs takes the change over at once. Keys are 256 random
bits in lower-case hex: nginx looks them up without regard to case. The file is readable by its owner only.

Exit codes: 0 done, 1 no such name, 2 not a name, or the file cannot be read or written.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import sys
from pathlib import Path

from lungct_tools.commandline import add_run_option, make_parser
from lungct_tools.proxy.record import reload
from lungct_tools.server.runfolder import write_whole

LINE = re.compile(r'"Bearer ([0-9a-f]{64})" ([a-z0-9-]+);')


def find_clients() -> Path | None:
    """The file of the keys where none is named; None for a user without a home folder, as in some containers."""
    if named := os.environ.get("LUNG_CT_CLIENTS"):
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "lung-ct" / "clients.map"
    except RuntimeError:
        return None


def add_clients_option(parser: argparse.ArgumentParser) -> None:
    """The option of all scripts that deal with client keys: the file they are in, outside the project."""
    found = find_clients()
    parser.add_argument(
        "--clients",
        type=Path,
        default=found,
        required=found is None,
        help="file of the clients' keys (default: $LUNG_CT_CLIENTS or %(default)s)",
    )


def read_clients(file: Path) -> dict[str, str]:
    """Name -> key; nothing when there is no file yet. Raises ValueError when it is damaged."""
    lines = file.read_text("ascii", errors="replace").splitlines() if file.is_file() else []
    found = [LINE.fullmatch(line) for line in lines if line]
    if None in found:
        raise ValueError(
            f"{file} is damaged: a line of it holds no key. Restore it, or remove it and make all keys anew."
        )
    return {name: key for key, name in (match.groups() for match in found if match)}


def write_clients(file: Path, clients: dict[str, str]) -> None:
    """The file in one stroke, private: lines that nginx includes into a map."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, "".join(f'"Bearer {key}" {name};\n' for name, key in sorted(clients.items())), mode=0o600)


def change(args: argparse.Namespace) -> int:
    """Do what was asked with the file of keys; the exit code."""
    clients = read_clients(args.clients)
    if args.what == "list":
        print("\n".join(sorted(clients)))
        return 0
    if args.what == "add":
        clients[args.name] = secrets.token_hex(32)
    elif clients.pop(args.name, None) is None:
        print(f"keys: {args.name} has no key", file=sys.stderr)
        return 1
    write_clients(args.clients, clients)
    if args.what == "add":
        print(clients[args.name])  # it counts only now
    reload(args.run)
    return 0


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    add_clients_option(parser)
    parser.add_argument("what", choices=("add", "list", "remove"))
    parser.add_argument("name", nargs="?", default="", help="lower-case letters, digits and dashes; appears in the log")
    args = parser.parse_args()
    named = re.fullmatch("[a-z0-9-]+", args.name) and args.name not in ("none", "unknown")
    if args.what != "list" and not named:
        parser.error("a name is of lower-case letters, digits and dashes, and neither none nor unknown")
    try:
        return change(args)
    except ValueError as error:
        print(f"keys: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"keys: {args.clients} cannot be used: {error.strerror}. Whom does it belong to?", file=sys.stderr)
        return 2
