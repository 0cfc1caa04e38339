"""Keeps nginx going: another master where one was killed, other logs where they have grown large."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from lungct_client.address import read_plain
from lungct_tools.proxy.nginx import Nginx
from lungct_tools.server.processes import list_members, lives, read_birth, read_words
from lungct_tools.server.scribe import LIMIT, keep

FIRST_S = 5.0  # nginx that ends so soon after its first start cannot start at all: an address that is taken
PAUSE_S, LONGEST_S = 0.5, 30.0  # between two starts that failed


class Keeper:
    """One nginx at a time; its master leads a session, and so a group, of its own."""

    def __init__(self, nginx: Nginx) -> None:
        self._nginx = nginx
        self._process = nginx.start()
        self._left: set[tuple[int, str]] = set()  # workers outlive a master that was killed: their numbers and births
        self._asked = 0  # the master whose workers were asked for
        self._begun = time.monotonic()
        self._starts = 0
        self._next = 0.0

    def tend(self, now: float) -> bool:
        """Look after nginx; False when it could not start in the first place. `now`: monotonic seconds."""
        if self._process.poll() is None:
            self._turn_over()
            if now - self._next > LONGEST_S:
                self._starts = 0
            return True
        self._find_left()
        if not self.settled(now):
            return False
        if now >= self._next:
            self._restart()
            self._next = now + min(PAUSE_S * 2**self._starts, LONGEST_S)
            self._starts += 1
        return True

    def settled(self, now: float) -> bool:
        """Whether the first start is so long ago that it must have been a good one."""
        return bool(self._starts) or now - self._begun >= FIRST_S

    def _restart(self) -> None:
        """Another nginx at once; the workers of the last one free the address and finish what they have."""
        with suppress(OSError):  # a full disk
            print("gateway: nginx ended; starting it again", flush=True)
        self._send_left(signal.SIGQUIT)
        self._process = self._nginx.start()

    def _turn_over(self) -> None:
        """Put logs aside that are over their limit. One client writes 300 bytes a request."""
        grown = [log for log in self._nginx.logs if log.is_file() and log.stat().st_size > LIMIT]
        for log in grown:
            keep(log)
        if grown:
            self.send(signal.SIGUSR1)  # opens them anew

    def send(self, number: int) -> None:
        """Send a signal to nginx's master, if it is there."""
        self._process.send_signal(number)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether nginx ended by then."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)
        return self._process.poll() is not None

    def end(self) -> None:
        """End what is left: workers of a master that was killed hold the address."""
        self._find_left()
        self._process.terminate()
        self._send_left(signal.SIGTERM)
        self._process.wait()

    def _find_left(self) -> None:
        """Know the processes of this nginx again; once for each, as the number of an empty group may go to others."""
        if self._asked != self._process.pid:
            self._asked = self._process.pid
            members = filter(is_nginx, list_members(self._process.pid))
            self._left = {each for each in self._left if lives(*each)} | {(pid, read_birth(pid)) for pid in members}

    def _send_left(self, number: int) -> None:
        for pid, birth in self._left:
            with suppress(ProcessLookupError):
                if lives(pid, birth):
                    os.kill(pid, number)


def end_left(run: Path) -> bool:
    """Have workers finish whose master was killed, and with it who would start another; whether any are left.

    They would hold the address for good. Ours are those that stand in this run folder (scripts/proxy/nginx.py).
    """
    left = False
    with suppress(OSError, ValueError):  # no nginx ever ran here
        master = int(read_plain(run / "gateway" / "nginx.pid"))
        members = [pid for pid in list_members(master) if is_nginx(pid)]
        for pid in members if master not in members else ():
            with suppress(OSError):  # ended meanwhile, or another user's
                if Path(f"/proc/{pid}/cwd").readlink().is_relative_to(run):
                    os.kill(pid, signal.SIGQUIT)
                    left = True
    return left


def is_nginx(pid: int) -> bool:
    """Whether a process is nginx, by its title."""
    return b"nginx" in b" ".join(read_words(pid)[:1])
