"""How many requests the gateway answered, by status and model: nginx tells of each in a datagram, as to a syslog.

It has no such counter itself, and its log may go to a container's engine. Datagrams that find no room are lost; no
request waits for them.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
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


def listen(address: Path) -> socket.socket:
    """A Unix socket for what nginx tells as to a syslog, for this user alone."""
    address.unlink(missing_ok=True)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    opened.bind(str(address))
    address.chmod(0o600)
    return opened


def hear(opened: socket.socket) -> str:
    """The next that is told: of `<190>Nov 30 10:00:00 nginx: TEXT` the text."""
    return opened.recv(4096).decode(errors="replace").partition(": ")[2]


class Tally:
    """Counts while the process lives."""

    def __init__(self, address: Path) -> None:
        """Args: `address` of the Unix socket that nginx writes to."""
        self._socket = listen(address)
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
            told = hear(self._socket).split("/")
            if len(told) == 3 and told[2].isdecimal():
                chosen, answered, status = told
                self._counts[status] += 1
                if self._percent and answered:
                    self._answers[chosen, answered] += 1
