"""One or several servers as one: a slice goes to the least busy, and to another when that one fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lungct_client import Client, Gateway, Local, RefusedError, ServerError

REST_S = 15.0  # a server that failed is asked again only after this, or when all have failed
# With several servers, no attempt on one of them starts after this. One that is under way may still take the client's
# timeout: a busy server must not be taken for one that hangs.
ATTEMPT_S = 5.0


class Fleet:
    """May be shared by threads.

    Args:
        servers: of one model, on this machine or behind gateways.
        deadline_s: no attempt on any of them starts later than this after a slice's first.

    Attributes:
        tallies: how many files each server has scored or refused, by its run folder or address.
    """

    def __init__(self, servers: Sequence[Local | Gateway], deadline_s: float) -> None:
        attempt_s = deadline_s if len(servers) == 1 else min(ATTEMPT_S, deadline_s)
        self.clients = [Client(server, deadline_s=attempt_s) for server in servers]
        self._deadline_s = deadline_s
        self._lock = threading.Lock()
        self._in_flight = [0] * len(servers)
        self._rests_until = [0.0] * len(servers)
        self._names = [str(server.run) if isinstance(server, Local) else server.address for server in servers]
        self.tallies = dict.fromkeys(self._names, 0)

    def contract(self) -> dict[str, Any]:
        """model.json of the servers' model; ServerError when they hold different ones."""
        contracts = [client.contract() for client in self.clients]
        if any(contract["files"] != contracts[0]["files"] for contract in contracts):
            raise ServerError("The servers hold different models; their scores cannot be mixed.")
        return contracts[0]

    def predict(self, body: bytes, **options: str) -> dict[str, Any]:
        """Score one file; see `Client.predict` for what it raises."""
        ends = time.monotonic() + self._deadline_s
        while True:
            with self._borrow() as number:
                try:
                    reply = self.clients[number].predict(body, **options)
                except ServerError:
                    self._rests_until[number] = time.monotonic() + REST_S
                    if time.monotonic() >= ends or len(self.clients) == 1:
                        raise
                except RefusedError:
                    self._tally(number)
                    raise
                else:
                    self._tally(number)
                    return reply

    def _tally(self, number: int) -> None:
        with self._lock:
            self.tallies[self._names[number]] += 1

    @contextmanager
    def _borrow(self) -> Iterator[int]:
        """The number of the server to ask now: one that does not rest, with the fewest slices in flight."""
        with self._lock:
            now = time.monotonic()
            rests = [max(0.0, until - now) for until in self._rests_until]
            number = min(range(len(rests)), key=lambda i: (rests[i], self._in_flight[i]))
            self._in_flight[number] += 1
        try:
            yield number
        finally:
            with self._lock:
                self._in_flight[number] -= 1
