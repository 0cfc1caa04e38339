"""What the new model of a shadow says to copies of requests, held against what their callers got.

nginx sends a copy here while it asks the server for the request itself, and tells in a datagram what that one said
(header X-Score) once the caller has it. Only then the second server is asked for the copy, one at a time. What finds no
room is dropped, and nothing but counts is kept.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from lungct.exchange import SCORE_HEADER
from lungct_client import Client, RefusedError, ServerError, TokenError
from lungct_tools.proxy.tally import hear, listen
from lungct_tools.server.deputy import Route

ROOM = 8  # copies in memory, each under 1 MB: $size of config/nginx/nginx.conf
PATIENCE_S = 10.0  # for word of what the caller got, which may have been lost
TIMEOUT_S = 30.0  # for the second server
OUTCOMES = ("compared", "dropped", "failed", "unscored")


class Copy(NamedTuple):
    """A request as the second server is to get it."""

    path: str
    headers: dict[str, str]
    body: bytes


class Score(NamedTuple):
    """What a model said of a slice."""

    label: str
    confidence: float
    decision: str


def read_score(text: str | None) -> Score | None:
    """A reply's X-Score; None where it has none: a refusal, or a model of an archive older than that header."""
    with suppress(ValueError, TypeError):
        score = Score(**json.loads(text or ""))
        if (type(score.label), type(score.confidence), type(score.decision)) == (str, float, str):
            return score
    return None


class Comparer:
    """Counts while the process lives; from zero for each shadow."""

    def __init__(self, address: Path) -> None:
        """Args: `address` of the Unix socket that nginx writes scores to."""
        self._socket = listen(address)
        self._lock = threading.Lock()
        self._waiting: dict[str, tuple[float, Copy]] = {}  # for the score of their request, oldest first
        self._due: SimpleQueue[tuple[Copy, Score]] = SimpleQueue()
        self._held = 0
        self._client: Client | None = None
        self._percent = 0.0
        self._begin()

    def _begin(self) -> None:
        self._copies = Counter(dict.fromkeys(OUTCOMES, 0))
        self._labels: Counter[tuple[str, str]] = Counter()
        self._decisions: Counter[tuple[str, str]] = Counter()
        self._difference = 0.0

    def start(self) -> None:
        for work in (self._hear, self._ask):
            threading.Thread(target=work, daemon=True).start()

    def turn_to(self, route: Route) -> None:
        """Compare with the second server of this route from now on, if it has a shadow."""
        client = (
            Client(route.candidate, deadline_s=0, timeout_s=TIMEOUT_S) if route.candidate and route.shadow else None
        )
        with self._lock:
            if client and self._client is None:
                self._begin()
            if client is None:
                self._held -= len(self._waiting)
                self._waiting.clear()
            self._client, self._percent = client, route.percent if client else 0.0

    def describe(self) -> dict[str, Any]:
        """The share that is copied as a fraction, and since the shadow began: copies by what became of them, and of the
        compared ones how many had which two labels and decisions, the serving model's first, and the sum of the
        differences of their confidences."""
        with self._lock:
            return {
                "share": self._percent / 100,
                "copies": dict(self._copies),
                "labels": [[*pair, count] for pair, count in self._labels.items()],
                "decisions": [[*pair, count] for pair, count in self._decisions.items()],
                "difference": self._difference,
            }

    def take(self, key: str, read: Callable[[], Copy | None]) -> bool:
        """Take a copy if there is room for it; whether there was. `read` brings it, or None where it came to no end."""
        if not self._make_room():
            return False
        copy = None
        try:
            copy = read()
        finally:
            with self._lock:
                if copy:
                    self._waiting[key] = time.monotonic(), copy
                else:
                    self._release("unscored")
        return True

    def _make_room(self) -> bool:
        with self._lock:
            if self._client is None:
                return False
            late = [key for key, (since, _) in self._waiting.items() if time.monotonic() - since > PATIENCE_S]
            for key in late:
                del self._waiting[key]
                self._release("dropped")
            if self._held == ROOM:
                self._copies["dropped"] += 1
                return False
            self._held += 1
            return True

    def _release(self, outcome: str) -> None:
        self._copies[outcome] += 1
        self._held -= 1

    def _hear(self) -> None:
        while True:
            self._match(*hear(self._socket).split(" ", 1))

    def _match(self, key: str, text: str = "") -> None:
        """Have the copy of this key, if there is one, compared with what its caller got. Its name ends here: nothing
        stays in the hand of who waits."""
        score = read_score(text)
        with self._lock:
            _, copy = self._waiting.pop(key, (0.0, None))
            if copy and score:
                self._due.put((copy, score))
            elif copy:
                self._release("unscored")

    def _ask(self) -> None:
        while True:
            self._compare(*self._due.get())

    def _compare(self, copy: Copy, old: Score) -> None:
        new, client = None, self._client
        with suppress(ServerError, TokenError, RefusedError):
            if client:
                answer = client.call("POST", "inference", copy.path, data=copy.body, headers=copy.headers)
                new = read_score(answer.headers.get(SCORE_HEADER))
        with self._lock:
            self._release("compared" if new else "failed")
            if new:
                self._labels[old.label, new.label] += 1
                self._decisions[old.decision, new.decision] += 1
                self._difference += abs(new.confidence - old.confidence)
