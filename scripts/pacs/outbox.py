"""Results to peers: each result of each version once to each of them, again until they confirm, in order."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lungct_tools.pacs import cstore
from lungct_tools.pacs.commitment import Commitments
from lungct_tools.pacs.dicomweb import ArchiveError, ArchiveRefusal, DicomWeb
from lungct_tools.pacs.folder import SeriesFolder, Version
from lungct_tools.pacs.spool import Spool

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0


class Destination(Protocol):
    """Where results go.

    Attributes:
        name: as the operator wrote it; part of what is kept, so that a second peer gets what the first has.
    """

    name: str

    def send(self, version: Version) -> bool:
        """Returns when all objects are confirmed: whether the peer has also promised to keep them.

        Raises:
            ArchiveError: later.
            ArchiveRefusal: never.
        """
        ...

    def answers(self) -> bool:
        """Whether the peer is there."""
        ...


class StowDestination:
    """An archive with STOW-RS."""

    def __init__(self, name: str, credentials: Path | None, ca: Path | None) -> None:
        self.name = name
        self._web = DicomWeb(name, credentials, ca)

    def send(self, version: Version) -> bool:
        files = [(version.folder / name).read_bytes() for name in version.files]
        self._web.store(version.manifest["study"], files)
        return False

    def answers(self) -> bool:
        return self._web.answers()


class StoreDestination:
    """A DICOM node that takes C-STORE.

    Args:
        commitments: where answers to a storage commitment arrive; None: it is not asked for.
    """

    def __init__(self, name: str, title: str, commitments: Commitments | None = None) -> None:
        self.name, self._title, self._commitments = name, title, commitments
        self._peer = cstore.Peer.read(name)

    def send(self, version: Version) -> bool:
        files = [(each["sop_class"], version.folder / each["file"]) for each in version.manifest["objects"]]
        return cstore.store(self._peer, self._title, files, self._commitments)

    def answers(self) -> bool:
        return cstore.echo(self._peer, self._title)


@dataclass
class _Lane:
    """What waits for one peer."""

    destination: Destination
    waiting: dict[tuple[str, int], tuple[SeriesFolder, Version]] = field(default_factory=dict)
    pause_s: float = FIRST_PAUSE_S
    paused_until: float = 0.0


class Outbox:
    """Sends what a peer has not confirmed yet. A peer that is away keeps its own results waiting and nobody else's.

    Args:
        clock: seconds, for tests.
    """

    def __init__(
        self, destinations: Sequence[Destination], spool: Spool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lanes = {each.name: _Lane(each) for each in destinations}
        self._spool, self._clock = spool, clock
        self._mutex, self._noting = threading.Lock(), threading.Lock()

    @property
    def peers(self) -> list[str]:
        return list(self._lanes)

    def add(self, series: SeriesFolder, version: Version) -> None:
        """Queue a result for every peer that has neither confirmed nor refused all of it."""
        with self._mutex:
            for name in self.lacking(version):
                self._lanes[name].waiting[series.name, version.number] = (series, version)

    def lacking(self, version: Version) -> list[str]:
        """The peers that have neither confirmed nor refused all of a result."""
        sent, refused = version.sent(), version.refusals()
        return [
            name for name in self._lanes if name not in refused and not set(version.files) <= set(sent.get(name, ()))
        ]

    def waiting(self) -> list[Version]:
        """Results that at least one peer lacks."""
        with self._mutex:
            return [version for lane in self._lanes.values() for _, version in lane.waiting.values()]

    def deliver(self, peer: str) -> None:
        """Send what waits for a peer, oldest first, until the first failure; pauses between failures double."""
        lane = self._lanes[peer]
        while self._clock() >= lane.paused_until:
            with self._mutex:
                key = next(iter(lane.waiting), None)
            if key is None:
                return
            self._try(lane, *lane.waiting[key])
            if self._clock() >= lane.paused_until:
                with self._mutex:
                    del lane.waiting[key]

    def _try(self, lane: _Lane, series: SeriesFolder, version: Version) -> None:
        numbers = {"version": version.number, "objects": len(version.files)}
        try:
            event, told = self._send(lane.destination, version)
        except (ArchiveError, OSError) as error:  # OSError: the disk
            reason = str(error) if isinstance(error, ArchiveError) else type(error).__name__
            self._spool.note("send_failed", series, **numbers, reason=reason)
            lane.paused_until = self._clock() + lane.pause_s * random.uniform(0.5, 1.5)  # noqa: S311 -- jitter
            lane.pause_s = min(LONGEST_PAUSE_S, 2 * lane.pause_s)
            return
        self._spool.note(event, series, **numbers, **told)
        lane.pause_s = FIRST_PAUSE_S

    def _send(self, destination: Destination, version: Version) -> tuple[str, dict[str, object]]:
        """Send a result and remember what the peer says, one thread at a time, as the words of all stand in one file.

        The event for the journal, and what it tells. Raises what a destination does but ArchiveRefusal, or OSError
        where the word cannot be kept: then the peer is asked again.
        """
        try:
            committed = destination.send(version)
        except ArchiveRefusal as error:
            with self._noting:
                version.note_refusal(destination.name, str(error))
            return "send_refused", {"reason": str(error)}
        with self._noting:
            version.note_sent(destination.name, version.files)
        return "sent", {"committed": committed}
