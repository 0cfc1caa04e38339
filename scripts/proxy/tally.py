"""How many requests the gateway answered, by status: nginx tells of each in a datagram, as it would tell a syslog.

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

    def start(self) -> None:
        threading.Thread(target=self._count, daemon=True).start()

    def read(self) -> dict[str, int]:
        """Status -> answers so far."""
        return dict(self._counts)

    def _count(self) -> None:
        while True:
            status = self._socket.recv(4096)[-3:].decode(errors="replace")
            if status.isdecimal():
                self._counts[status] += 1


def ask(run: Path) -> dict[str, int]:
    """The counts of this run folder's gateway; {} where none runs."""
    with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(str(run / "gateway" / "sidecar.sock"))
        connection.sendall(b"GET /tally HTTP/1.0\r\n\r\n")
        return dict(json.loads(connection.makefile("rb").read().partition(b"\r\n\r\n")[2]))
    return {}
