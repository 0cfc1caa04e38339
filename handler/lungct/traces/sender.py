"""Hands spans to a collector from a thread of its own: no request waits for it, whatever it does."""

from __future__ import annotations

import http.client
import ipaddress
import json
import logging
import queue
import ssl
import threading
import time
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from lungct.traces.span import Call, build

logger = logging.getLogger(__name__)

WAITING = 2048  # requests that wait for the collector; 2 MB. More are dropped
AT_ONCE, GATHER_S = 256, 1.0  # requests of one export, and how long it waits for more
TIMEOUT_S, LONGEST_PAUSE_S = 5.0, 30.0
WANTED = (
    "LUNG_CT_TRACES must be the address of an OTLP/HTTP collector: https://HOST:4318, or on this machine "
    "http://127.0.0.1:4318; without user, query or fragment."
)


class Sender:
    """Keeps up to WAITING requests for the collector at one address, and counts those that it could not take."""

    def __init__(self, address: SplitResult) -> None:
        self._address = address
        self._queue: queue.Queue[Call] = queue.Queue(WAITING)
        self._dropped, self._lock = 0, threading.Lock()
        self._context = ssl.create_default_context() if address.scheme == "https" else None
        threading.Thread(target=self._send, name="lungct-traces", daemon=True).start()

    def tell(self, calls: Sequence[Call]) -> None:
        """Never waits: what finds no room is dropped."""
        for call in calls:
            try:
                self._queue.put_nowait(call)
            except queue.Full:
                self._drop(1)

    def take_dropped(self) -> int:
        """How many requests were dropped since this was asked last."""
        with self._lock:
            taken, self._dropped = self._dropped, 0
        return taken

    def _drop(self, count: int) -> None:
        with self._lock:
            self._dropped += count

    def _send(self) -> None:
        pause = 0.0
        while True:
            calls = self._gather()
            try:
                self._post(json.dumps(build(calls)).encode())
                pause = 0.0
            except (OSError, http.client.HTTPException, ValueError) as fault:  # the last: an address it cannot ask
                self._drop(len(calls))
                if not pause:
                    logger.warning("The collector took no traces (%s); they are dropped.", type(fault).__name__)
                pause = min(2 * pause + 1, LONGEST_PAUSE_S)
                time.sleep(pause)

    def _gather(self) -> list[Call]:
        """At least one request, and what comes in the next second."""
        calls = [self._queue.get()]
        ends = time.monotonic() + GATHER_S
        while len(calls) < AT_ONCE and (left := ends - time.monotonic()) > 0:
            try:
                calls.append(self._queue.get(timeout=left))
            except queue.Empty:
                break
        return calls

    def _post(self, body: bytes) -> None:
        """Raises OSError, HTTPException or ValueError unless the collector takes it; follows no redirect, no proxy."""
        host, port = str(self._address.hostname), self._address.port
        connection = (
            http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=self._context)
            if self._context
            else http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        )
        try:
            path = self._address.path.rstrip("/") + "/v1/traces"
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            status = connection.getresponse().status
            if status != 200:
                raise http.client.HTTPException(f"status {status}")
        finally:
            connection.close()


def open_sender(address: str) -> Sender | None:
    """A sender to that collector, None for ""; ValueError for an address that is none, or http beyond loopback."""
    if not address:
        return None
    try:
        parts = urlsplit(address)
        (parts.hostname or "").encode("idna")  # UnicodeError for a label that is empty or too long
        bare = not (parts.query or parts.fragment or "@" in parts.netloc)
        fits = bare and address.isascii() and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(str(parts.hostname)))):
        raise ValueError(WANTED)
    return Sender(parts)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
