"""What the gateway of a run folder has counted, as its sidecar tells on a Unix socket."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

TIMEOUT_S = 1  # with those of lungct exporter under the scrape timeout of config/prometheus/prometheus.yml


def ask(run: Path) -> dict[str, Any]:
    """What the tally of this run folder's gateway describes, and as `shadow` its comparer; {} where none runs."""
    with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_S)
        connection.connect(str(run / "gateway" / "sidecar.sock"))
        connection.sendall(b"GET /tally HTTP/1.0\r\n\r\n")
        return dict(json.loads(connection.makefile("rb").read().partition(b"\r\n\r\n")[2]))
    return {}
