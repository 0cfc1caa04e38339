"""LungServe: every tool by one name, `lungct COMMAND`. Research use only. Not a medical device."""

from __future__ import annotations

import resource
import sys
import tomllib
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from lungct_client import ClientError
from lungct_tools import ROOT
from lungct_tools.commandline import COMMANDS, GROUPS, NEEDS


def find_version() -> str:
    """The version that is installed, or that of the checkout where it runs without being installed."""
    try:
        return version("lungct")
    except PackageNotFoundError:
        return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def explain() -> str:
    """The text of `lungct --help`."""
    lines = [__doc__.splitlines()[0], "", "usage: lungct COMMAND [OPTION ...]; each command has --help with examples"]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:12} {said}" for name, (_, said) in group.items())]
    return "\n".join([*lines, "", "examples: lungct demo    lungct predict slice.dcm --overlay out.png    lungct stop"])


def main() -> int:
    """Hand the rest of the command line to the command; 2 for none such, or one that cannot work here."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        print(explain())
        return 0 if words else 2
    if words[0] == "--version":
        print(find_version())
        return 0
    if words[0] not in COMMANDS:
        print(f"lungct: there is no command {words[0]!r}; lungct --help lists them.", file=sys.stderr)
        return 2
    if words[0] in NEEDS:
        from lungct_tools.packages.lacking import explain_lacking  # takes longer to load than most commands

        if lacking := explain_lacking(NEEDS[words[0]]):
            print(f"lungct {words[0]}: {lacking}", file=sys.stderr)
            return 2
    sys.argv = [f"lungct {words[0]}", *words[1:]]  # what argparse shows as the program
    # Nor of what it starts, nginx and Java: a dump holds slices and keys, and would fill the run folder.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    try:
        return int(import_module(f"lungct_tools.{COMMANDS[words[0]]}").main() or 0)
    except ClientError as error:
        said = str(error)
    except OSError as error:  # a folder of another user, a disk that is full or may not be written
        said = f"{error.filename} cannot be used: {error.strerror}." if error.filename else str(error)
    print(f"lungct {words[0]}: {said}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
