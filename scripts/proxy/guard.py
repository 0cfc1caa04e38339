"""The gateway in the background has two processes that watch each other: its supervisor, and the guard of that.

Who ends one of them, the kernel for want of memory above all, has ended it for a second. In the foreground there is no
guard: who started the gateway starts it again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from lungct_client.address import read_plain
from lungct_tools.commandline import compose
from lungct_tools.proxy.record import GUARD, RECORD, find, find_guard, write_guard
from lungct_tools.server.runfolder import write_whole

LOOK_S, LONGEST_S = 0.5, 60.0  # between two looks, and between two starts that failed
ORDER = "gateway/order.json"  # how the gateway was asked for last


def write_order(run: Path, words: list[str]) -> None:
    """Keep how the gateway was asked for, to start it again so: words of the command line, and where they were said."""
    write_whole(run / ORDER, json.dumps({"words": words, "folder": str(Path.cwd())}))


def start_supervisor(run: Path, output: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
    """The supervisor as it was asked for last, in a session of its own; it writes where this process does, or there."""
    order = json.loads(read_plain(run / ORDER))
    command = compose("gateway", *order["words"], "--foreground", "--guarded")
    return subprocess.Popen(command, cwd=order["folder"], stdout=output, stderr=output, start_new_session=True)


def start_guard(run: Path) -> subprocess.Popen[bytes]:
    """A guard for the supervisor that runs, in a session of its own."""
    return subprocess.Popen(compose("gateway", "--run", run, "--guard"), start_new_session=True)


class Watch:
    """The supervisor's side: keeps a guard there."""

    def __init__(self, run: Path) -> None:
        """One that is left of another gateway is ended: it would start that one again."""
        self._run = run
        self._process: subprocess.Popen[bytes] | None = None
        self._next, self._pause = 0.0, LOOK_S
        guard = find_guard(run)
        if guard and guard != os.getppid():  # not the one that has started us
            with suppress(ProcessLookupError):
                os.kill(guard, signal.SIGTERM)

    def tend(self) -> None:
        """Start a guard where there is none. Raises OSError where no process can be started.

        One that cannot be recorded, on a full disk above all, ends at once: pauses grow, as each start takes a core.
        """
        if find_guard(self._run):
            self._pause = LOOK_S
        elif time.monotonic() >= self._next and (self._process is None or self._process.poll() is not None):
            self._next = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_S)
            self._process = start_guard(self._run)


def try_again(run: Path) -> subprocess.Popen[bytes] | None:
    """Start the supervisor again; None where that failed. No reason may end the guard: nobody would try once more."""
    with suppress(OSError):  # nobody reads it
        print("gateway: the supervisor ended; starting it again", flush=True)
    try:
        return start_supervisor(run)
    except (OSError, ValueError, TypeError, KeyError) as error:  # no memory for a process, or a damaged order
        with suppress(OSError):
            print(f"gateway: that failed: {error}; `make stop`, then `make gateway`, starts it anew", flush=True)
    return None


def keep_guard(run: Path) -> int:
    """Until the gateway is drained, start its supervisor again when it has ended without a drain; 0."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    write_guard(run)
    child: subprocess.Popen[bytes] | None = None
    pause, tried = LOOK_S, False
    while not ended.wait(pause) and (run / RECORD).exists():  # a drain removes it
        if child and child.poll() is None:  # also while it comes up
            pause = LOOK_S
        elif find(run) is None:
            if tried:
                pause = min(2 * pause, LONGEST_S)
            tried = True
            child = try_again(run) or child
    if child and child.poll() is None and find(run) is None and (run / ORDER).exists():  # it was about to come up
        child.terminate()
    (run / GUARD).unlink(missing_ok=True)
    return 0
