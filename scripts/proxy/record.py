"""How others find the gateway of a run folder and tell it what to do."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

RECORD = "gateway/supervisor.pid"


def find(run: Path) -> int:
    """Process id of the gateway of this run folder; 0 if none runs."""
    with suppress(OSError, ValueError):
        pid = int((run / RECORD).read_text())
        return pid if b"gateway.py" in Path(f"/proc/{pid}/cmdline").read_bytes() else 0
    return 0


def reload(run: Path) -> bool:
    """Have a running gateway read keys, certificates and settings again; False if none runs."""
    pid = find(run)
    if pid:
        os.kill(pid, signal.SIGHUP)
    return pid > 0


def drain(run: Path, deadline_s: float) -> bool:
    """Have a running gateway finish its requests and end; True once none runs."""
    pid, ends = find(run), time.monotonic() + deadline_s
    if pid:
        os.kill(pid, signal.SIGTERM)
    while find(run) and time.monotonic() < ends:
        time.sleep(0.05)
    return not find(run)
