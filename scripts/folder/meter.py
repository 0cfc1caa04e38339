"""Progress of a long run: how many, how fast, how long still. A bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

LOG_EVERY_S = 30.0


class Meter:
    """Counts slices against a total.

    Args:
        total: slices of the whole run.
        done: slices that an earlier run scored; they do not count for the rate.
        clock: seconds, for tests.
    """

    def __init__(self, total: int, done: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self.total, self.done = total, done
        self._before, self._clock = done, clock
        self._started = self._logged = clock()
        console = Console(stderr=True)
        self._terminal = console.is_terminal
        layout = (TextColumn("Scoring"), BarColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*layout, console=console, disable=not self._terminal, refresh_per_second=4)
        self._task = self._progress.add_task("", total=total, completed=done)

    def __enter__(self) -> Meter:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @property
    def rate(self) -> float:
        """Slices a second since this run started."""
        return (self.done - self._before) / max(self._clock() - self._started, 1e-9)

    def advance(self) -> None:
        """One more slice is done."""
        self.done += 1
        if self._terminal:
            self._progress.update(self._task, completed=self.done, description=self.describe())
        elif (now := self._clock()) - self._logged >= LOG_EVERY_S:
            self._logged = now
            print(f"score: {self.describe()}", file=sys.stderr, flush=True)

    def describe(self) -> str:
        """Such as "1,200 of 5,000 slices, 210/s, 0:18 left"."""
        left_s = round((self.total - self.done) / self.rate) if self.rate else 0
        minutes, seconds = divmod(left_s, 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        return f"{self.done:,} of {self.total:,} slices, {self.rate:.0f}/s, {clock} left"
