"""Writes what comes from its standard input into a log that cannot fill a disk.

    SERVER | python -P -m lungct_tools.server.scribe FILE [text | json]

Over the limit the log becomes FILE.1 and a new one begins. What a full disk does not take is lost; the program whose
log it is never waits for it and never fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

from lungct_tools.server.jsonlines import convert_all
from lungct_tools.server.runfolder import open_fresh

LIMIT = 10 * 2**20  # bytes of a log; as many again are kept of the one before


def keep(path: Path) -> None:
    """Put a log aside, as .1, in the place of the one that was put aside before."""
    with suppress(FileNotFoundError):
        path.replace(path.with_name(f"{path.name}.1"))


def begin(path: Path) -> None:
    """A new, private log; the old one, which may tell of a crash, is kept. No log is a reason not to start."""
    with suppress(OSError):
        keep(path)
        open_fresh(path, 0o600).close()


def start(path: Path, form: str = "text") -> subprocess.Popen[bytes]:
    """A scribe for a log that was begun; what is written to its standard input arrives there, as it is or as JSON."""
    command = [sys.executable, "-P", "-m", "lungct_tools.server.scribe", str(path), form]
    quiet = subprocess.DEVNULL  # it outlives its starter, and would hold on to that one's pipes
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True)


def append(path: Path, chunk: bytes, limit: int) -> None:
    """Add to a log without following a link in its place, or begin a new one. Raises OSError where the disk is full."""
    with suppress(FileNotFoundError):
        if path.lstat().st_size + len(chunk) > limit:
            keep(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "ab", buffering=0) as file:
        file.write(chunk)


def main() -> int:
    path, form = Path(sys.argv[1]), sys.argv[2]
    as_it_is = iter(partial(os.read, sys.stdin.fileno(), 2**16), b"")
    for chunk in convert_all(sys.stdin.buffer) if form == "json" else as_it_is:
        with suppress(OSError):
            append(path, chunk, LIMIT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
