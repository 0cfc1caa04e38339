"""A server that sleeps but while it is measured, so that it takes no core from the others."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scripts.bench.estimate import Sample
from scripts.bench.load import Target, run_settled


@dataclass(frozen=True)
class Sleeper:
    """Where the server is reached, and its process group. Idle, LitServe would poll with the cores of all others."""

    target: Target
    group: int

    def measure(self, callers: int, seconds: float) -> Sample:
        """Wake it, load it in a closed loop, put it to sleep."""
        os.killpg(self.group, signal.SIGCONT)
        try:
            return run_settled(self.target, callers, seconds)
        finally:
            os.killpg(self.group, signal.SIGSTOP)


@contextmanager
def asleep(target: Target, group: int) -> Iterator[Sleeper]:
    """The server, sleeping; awake again at the end, so that it can be told to stop."""
    os.killpg(group, signal.SIGSTOP)
    try:
        yield Sleeper(target, group)
    finally:
        os.killpg(group, signal.SIGCONT)
