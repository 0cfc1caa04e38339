"""Drives every series of a spool to its result: score what arrived, build once it is quiet, delete what is done.

All that must survive is on disk, so a new process goes on where a killed one stopped: what has no row is scored, what
has no version is built, what is not confirmed is sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from lungct_client import RefusedError, ServerError, TokenError
from lungct_tools.folder.record import Row
from lungct_tools.pacs.folder import SeriesFolder
from lungct_tools.pacs.outbox import Outbox
from lungct_tools.pacs.results import Choice, make_version
from lungct_tools.pacs.scorer import Scorer
from lungct_tools.pacs.spool import Spool

AWAY = (ServerError, TokenError, RefusedError)  # RefusedError: the gateway does not know our key
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
SWEEP_S = 60.0  # between looks for what may be deleted


class Terms(NamedTuple):
    """How long things wait, in seconds."""

    quiet: float
    keep: float
    keep_failed: float


@dataclass
class _Open:
    """A series that may still need something.

    Attributes:
        said: by slice the model whose row it has; "" where it was refused before any model saw it.
        covered: slices of the last version.
        arrived: Unix time of the last slice.
        stuck: slices of which no result could be built; tried again when others come, or by the next process.
    """

    folder: SeriesFolder
    slices: set[str]
    said: dict[str, str]
    covered: set[str]
    arrived: float
    in_flight: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def unsaid(self, model: str) -> set[str]:
        """The slices that this model, or a refusal, has no row of."""
        if self.slices <= self.covered:
            return set()
        return {name for name in self.slices if self.said.get(name) not in ("", model)} - self.in_flight


class Keeper:
    """One for a spool. Any thread may call `arrive`; one calls the rest.

    Args:
        connect: makes a scorer; ServerError while there is none to be had.

    Attributes:
        scored: slices since it began.
    """

    def __init__(
        self,
        spool: Spool,
        connect: Callable[[], Scorer],
        choice: Choice,
        outbox: Outbox,
        terms: Terms,
        concurrency: int,
    ) -> None:
        self._spool, self._connect, self._choice, self._outbox = spool, connect, choice, outbox
        self._terms, self._concurrency = terms, concurrency
        self.scored = 0
        self._scorer: Scorer | None = None
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="pacs")
        self._mutex = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._paused_until, self._pause_s = 0.0, FIRST_PAUSE_S
        self._swept = 0.0
        for folder in spool.series():
            self._reopen(folder)
            for version in folder.versions():
                outbox.add(folder, version)

    def arrive(self, folder: SeriesFolder, name: str) -> None:
        """A slice is on disk."""
        with self._mutex:
            each = self._open.get(folder.name)
            if each:
                each.slices.add(name)
                each.arrived = time.time()
        if each is None:
            self._reopen(folder)

    def tick(self) -> None:
        """Start what can be started; returns at once but for building a result."""
        if time.monotonic() - self._swept > SWEEP_S:
            self.sweep()
        if time.monotonic() < self._paused_until:
            return
        try:
            self._scorer = self._scorer or self._connect()
            self._submit(self._scorer)
            for each in self._list_open():
                if self._is_due(each, self._scorer.weights_sha256):
                    self._build(each, self._scorer)
        except (*AWAY, OSError) as error:  # no server, or a full disk: nothing is half done
            self._pause(type(error).__name__)

    def idle(self) -> bool:
        """Whether all that arrived has its result or can have none, and every peer has confirmed or refused it."""
        return (
            all(each.slices <= each.covered or each.slices == each.stuck for each in self._list_open())
            and not self._outbox.waiting()
        )

    def waits_since(self) -> float | None:
        """Unix time of the oldest: a result that a peer lacks, or the last slice of a series without one; None."""
        moments = [version.built_at() for version in self._outbox.waiting()]
        moments += [each.arrived for each in self._list_open() if not each.slices <= each.covered]
        return min(moments, default=None)

    def refusals(self) -> int:
        """Results that a peer will not have."""
        return sum(bool(version.refusals()) for folder in self._spool.series() for version in folder.versions())

    def sweep(self) -> None:
        """Delete series whose results every peer has confirmed long enough ago, or refused even longer ago."""
        self._swept = time.monotonic()
        for folder in list(self._spool.series()):
            if self._spool.close_if(folder, self._may_close):
                with self._mutex:
                    each = self._open.get(folder.name)
                    if each and each.slices <= each.covered:
                        del self._open[folder.name]

    def close(self) -> None:
        """Wait for the slices in flight; what has no row yet is scored by the next process."""
        self._pool.shutdown(cancel_futures=True)

    def _reopen(self, folder: SeriesFolder) -> None:
        said = {name: row.get("weights_sha256", "") for name, row in folder.rows().items()}
        with self._mutex:
            slices = folder.slices()
            if each := self._open.get(folder.name):  # two senders began it at once
                each.slices |= slices
            elif slices:
                self._open[folder.name] = _Open(folder, slices, said, folder.covered(), folder.arrived_at())

    def _list_open(self) -> list[_Open]:
        with self._mutex:
            return list(self._open.values())

    def _submit(self, scorer: Scorer) -> None:
        """Hand slices without a row to the pool; twice as many as it has threads are under way."""
        with self._mutex:
            room = 2 * self._concurrency - sum(len(each.in_flight) for each in self._open.values())
            for each in self._open.values():
                for name in sorted(each.unsaid(scorer.weights_sha256))[: max(0, room)]:
                    each.in_flight.add(name)
                    room -= 1
                    self._pool.submit(self._score, each, name, scorer)

    def _score(self, each: _Open, name: str, scorer: Scorer) -> None:
        """In the pool: one slice and its row."""
        try:
            if time.monotonic() < self._paused_until:
                return
            row = self._ask(each, name, scorer)
            with each.lock:
                each.folder.append(row)
            self._remember(each, name, row)
            if row.get("weights_sha256", scorer.weights_sha256) != scorer.weights_sha256:
                self._scorer = None  # the servers were given another model
        except (*AWAY, OSError) as error:
            self._pause(type(error).__name__)
        finally:
            with self._mutex:
                each.in_flight.discard(name)

    def _ask(self, each: _Open, name: str, scorer: Scorer) -> Row:
        try:
            return scorer.score(name, each.folder.read(name))
        except (*AWAY, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - a fault of ours must not lose the slice, nor ask for it forever
            self._spool.note("fault", each.folder, reason=type(error).__name__)
            return {"file": name, "error": "internal", "message": "It could not be scored; see the journal."}

    def _remember(self, each: _Open, name: str, row: Row) -> None:
        with self._mutex:
            each.said[name] = row.get("weights_sha256", "")
            self.scored += 1
            self._pause_s = FIRST_PAUSE_S

    def _is_due(self, each: _Open, model: str) -> bool:
        quiet = time.time() - each.arrived >= self._terms.quiet and each.slices != each.stuck
        return quiet and not each.in_flight and not each.slices <= each.covered and not each.unsaid(model)

    def _build(self, each: _Open, scorer: Scorer) -> None:
        names = set(each.slices)
        try:
            version = make_version(each.folder, names, scorer, self._choice)
        except (*AWAY, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - one series must not stop the others
            each.stuck = names
            self._spool.note("build_failed", each.folder, reason=type(error).__name__)
            return
        with self._mutex:
            each.covered = names
        self._spool.charge(version.size())
        self._outbox.add(each.folder, version)
        self._spool.note(
            "built", each.folder, version=version.number, slices=len(names), decision=version.manifest["decision"]
        )

    def _may_close(self, folder: SeriesFolder) -> bool:
        versions = folder.versions()
        if not versions or not folder.slices() <= folder.covered():
            return False
        if any(self._outbox.lacking(version) for version in versions):
            return False
        refused = any(version.refusals() for version in versions)
        keep = self._terms.keep_failed if refused else self._terms.keep
        return time.time() - max(version.changed_at() for version in versions) > keep

    def _pause(self, reason: str) -> None:
        with self._mutex:
            if time.monotonic() < self._paused_until:
                return
            self._scorer = None
            self._paused_until = time.monotonic() + self._pause_s
            self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
        self._spool.note("waits", reason=reason)
