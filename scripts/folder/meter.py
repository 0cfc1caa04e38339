"""Progress of a long run: how many, how fast, how long still. A bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

LOG_EVERY_S = 30.0


class Meter:
    """Counts slices against a total.

    Args:
        total: slices of the whole run.
        tallies: slices that each server has answered, by name; it grows while the run goes on.
        clock: seconds, for tests.
        name: of the command, before each line in a log.

    Attributes:
        done: slices so far; those that an earlier run scored do not count for the rate.
        refused: how many of them were refused.
    """

    def __init__(
        self,
        total: int,
        tallies: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
        name: str = "score",
    ) -> None:
        self.total, self.done, self.refused = total, 0, 0
        self._name = name
        self._fresh, self._tallies, self._clock = 0, tallies, clock
        self._before = dict(tallies)
        self._started = self._logged = clock()
        console = Console(stderr=True)
        self._terminal = console.is_terminal
        layout = (TextColumn("Scoring"), BarColumn(), TextColumn("{task.description}"))
        self._progress = Progress(*layout, console=console, disable=not self._terminal, refresh_per_second=4)
        self._task = self._progress.add_task("", total=total)

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @property
    def rate(self) -> float:
        """Slices a second since this run started."""
        return self._fresh / self._passed_s

    def advance(self, fresh: bool = True, refused: bool = False) -> None:
        """One more slice is done; `fresh` unless an earlier run scored it."""
        if fresh and not self._fresh:  # there is nothing to show of a run that finds nothing to do
            self._progress.start()
        self.done += 1
        self._fresh += fresh
        self.refused += refused
        if self._terminal:
            self._progress.update(self._task, completed=self.done, description=escape(self.describe()))
        elif (now := self._clock()) - self._logged >= LOG_EVERY_S:
            self._logged = now
            print(f"{self._name}: {self.describe()}", file=sys.stderr, flush=True)

    def describe(self) -> str:
        """Such as "1,200 of 5,000 slices, 210/s (.run 120, /tmp/b 90), 12 refused, 0:18 left"."""
        left_s = round((self.total - self.done) / self.rate) if self.rate else 0
        minutes, seconds = divmod(left_s, 60)
        hours, minutes = divmod(minutes, 60)
        clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        rates = (f"{name} {(n - self._before[name]) / self._passed_s:.0f}" for name, n in self._tallies.items())
        each = f" ({', '.join(rates)})" if len(self._tallies) > 1 else ""
        refused = f"{self.refused:,} refused, " if self.refused else ""
        return f"{self.done:,} of {self.total:,} slices, {self.rate:.0f}/s{each}, {refused}{clock} left"

    @property
    def _passed_s(self) -> float:
        return max(self._clock() - self._started, 1e-9)
