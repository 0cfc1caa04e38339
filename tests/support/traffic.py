"""Callers that go on through faults and remember every attempt: what was lost, and for how long nobody was served."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from lungct_client import Client, RefusedError, ServerBusy, ServerDown, ServerError, TokenError

ANSWERED = "answered"


@dataclass(frozen=True)
class Call:
    """One call, from its first byte to its outcome; monotonic seconds.

    Attributes:
        outcome: ANSWERED, or what the caller got instead: "503", "no connection", "no answer", a refusal's code.
    """

    started: float
    ended: float
    outcome: str


def attempt(client: Client, body: bytes) -> Call:
    """Score one file, whatever comes of it."""
    started = time.monotonic()
    try:
        client.predict(body)
        outcome = ANSWERED
    except ServerDown:
        outcome = "no connection"
    except ServerBusy as error:
        outcome = str(error).partition(":")[0]
    except RefusedError as error:
        outcome = f"{error.status} {error.code}"
    except (ServerError, TokenError) as error:
        outcome = str(error)
    return Call(started, time.monotonic(), outcome)


class Traffic:
    """`callers` threads that each send the next slice when the last one is answered, while the context lasts."""

    def __init__(
        self, client: Client, bodies: Sequence[bytes], callers: int, pause_s: float = 0.1, rest_s: float = 0
    ) -> None:
        """Args: `pause_s` after a call that was not answered, so that a dead server is not hammered, `rest_s` after one
        that was."""
        self.calls: list[Call] = []
        self._client, self._bodies, self._pause_s, self._rest_s = client, bodies, pause_s, rest_s
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(i,)) for i in range(callers)]

    def _call(self, number: int) -> None:
        while not self._ended.is_set():
            call = attempt(self._client, self._bodies[number % len(self._bodies)])
            self.calls.append(call)
            self._ended.wait(self._rest_s if call.outcome == ANSWERED else self._pause_s)
            number += 1

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """No new calls; those under way are waited for."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def answered(self) -> int:
        return sum(call.outcome == ANSWERED for call in list(self.calls))

    def failures(self) -> Counter[str]:
        """What callers got instead of an answer, with counts."""
        return Counter(call.outcome for call in list(self.calls) if call.outcome != ANSWERED)

    def longest_gap(self, since: float) -> float:
        """The longest time in which nobody got an answer, from `since` on; seconds."""
        times = [since, *sorted(call.ended for call in self.calls if call.outcome == ANSWERED and call.ended > since)]
        return max((after - before for before, after in zip(times, times[1:], strict=False)), default=float("inf"))


class Steady(Traffic):
    """So many calls a second, evenly spread, and not fewer while answers are slow: `callers` is how many may wait.

    Callers that rest after an answer soon march in step, as one batch answers them all: half of the time nobody asks.
    """

    def __init__(self, client: Client, bodies: Sequence[bytes], rate: float, callers: int) -> None:
        super().__init__(client, bodies, callers)
        self._every_s, self._callers = 1 / rate, callers

    def _call(self, number: int) -> None:
        began = time.monotonic()
        while not self._ended.wait(max(0.0, began + number * self._every_s - time.monotonic())):
            self.calls.append(attempt(self._client, self._bodies[number % len(self._bodies)]))
            number += self._callers


def strict_call(door, body):
    """One request on a new connection: "refused" before it was accepted, its status, or "cut" after that."""
    context = ssl.create_default_context(cafile=str(door.ca))
    peer = http.client.HTTPSConnection("127.0.0.1", door.port, context=context, timeout=90)
    try:
        peer.connect()
    except OSError:
        return "refused"
    try:
        peer.request("POST", "/predictions/lung_ct", body, {"Authorization": f"Bearer {door.keys['raw']}"})
        answer = peer.getresponse()
        return str(answer.status) if json.loads(answer.read())["research_use_only"] else "odd"
    except (OSError, http.client.HTTPException):
        return "cut"
    finally:
        peer.close()


def is_ended(connection):
    """Whether the other side has closed it, or does so before its timeout."""
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True
