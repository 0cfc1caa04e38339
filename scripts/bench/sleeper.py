"""A server that sleeps but while it is measured, so that it takes no core from the others."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lungct_tools.bench.estimate import Sample
from lungct_tools.bench.load import Target, run_settled


@dataclass(frozen=True)
class Sleeper:
    """How the server is reached, asked while it is awake, and its process group.

    Idle, LitServe would poll with the cores of all others.
    """

    aim: Callable[[], Target]
    group: int

    def measure(self, callers: int, seconds: float) -> Sample:
        """Wake it, load it in a closed loop, put it to sleep."""
        with self.awake():
            return run_settled(self.aim(), callers, seconds)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """The time in which it does not sleep."""
        os.killpg(self.group, signal.SIGCONT)
        try:
            yield
        finally:
            os.killpg(self.group, signal.SIGSTOP)


@contextmanager
def asleep(aim: Callable[[], Target], group: int) -> Iterator[Sleeper]:
    """The server, sleeping; awake again at the end, so that it can be told to stop."""
    os.killpg(group, signal.SIGSTOP)
    try:
        yield Sleeper(aim, group)
    finally:
        os.killpg(group, signal.SIGCONT)
