"""How many requests the gateway answered, by status and model: nginx tells of each in a datagram, as to a syslog.

It has no such counter itself, and its log may go to a container's engine. Datagrams that find no room are lost; no
request waits for them.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

REFUSALS = (
    "400",
    "401",
    "403",
    "405",
    "413",
    "415",
    "429",
    "503",
    "504",
)  # of nginx; there from the start, so that rates see the first
TIMEOUT_S = 1  # with those of lungct exporter under the scrape timeout of config/prometheus/prometheus.yml


class Tally:
    """Counts while the process lives."""

    def __init__(self, address: Path) -> None:
        """Args: `address` of the Unix socket that nginx writes to."""
        address.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        address.chmod(0o600)
        self._counts = Counter(dict.fromkeys(REFUSALS, 0))
        self._answers: Counter[tuple[str, str]] = Counter()
        self._percent = 0.0

    def start(self) -> None:
        threading.Thread(target=self._count, daemon=True).start()

    def share(self, percent: float) -> None:
        """Count who answers while so many per cent of the requests are for a candidate; anew for another one."""
        if percent and not self._percent:
            self._answers = Counter()
        self._percent = percent

    def describe(self) -> dict[str, Any]:
        """Answers so far by status, the candidate's share as a fraction, and whose the requests were that it was about:
        for whom, by whom, how many."""
        answers = [[chosen, answered, count] for (chosen, answered), count in dict(self._answers).items()]
        return {"responses": dict(self._counts), "share": self._percent / 100, "answers": answers}

    def _count(self) -> None:
        while True:
            told = self._socket.recv(4096).decode(errors="replace").rpartition(" ")[2].split("/")
            if len(told) == 3 and told[2].isdecimal():
                chosen, answered, status = told
                self._counts[status] += 1
                if self._percent and answered:
                    self._answers[chosen, answered] += 1


def ask(run: Path) -> dict[str, Any]:
    """What the tally of this run folder's gateway describes; {} where none runs."""
    with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(str(run / "gateway" / "sidecar.sock"))
        connection.sendall(b"GET /tally HTTP/1.0\r\n\r\n")
        return dict(json.loads(connection.makefile("rb").read().partition(b"\r\n\r\n")[2]))
    return {}
