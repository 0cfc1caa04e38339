"""How others find the gateway of a run folder and tell it what to do."""

from __future__ import annotations

import json
import math
import os
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lungct_tools.server.instance import write_whole
from lungct_tools.server.polling import poll

RECORD = "gateway/supervisor.json"


@dataclass(frozen=True)
class Record:
    """The gateway that runs, and what it was started with for good.

    Attributes:
        pid: its supervisor.
        patience_s: see scripts/proxy/watchdog.py.
        notice_s: how long a drain says not ready before it refuses requests.
        supervised: whether others start a server again that has ended, see scripts/proxy/watchdog.py.
    """

    pid: int
    patience_s: float
    notice_s: float
    supervised: bool = False

    @property
    def options(self) -> str:
        """Those of lungct gateway that it was started with for good."""
        return f"--patience {self.patience_s:g} --notice {self.notice_s:g}" + " --supervised" * self.supervised

    @property
    def revives(self) -> bool:
        """Whether a server that has ended is started again, by its watchdog or by others."""
        return self.supervised or not math.isinf(self.patience_s)

    def write(self, run: Path) -> None:
        write_whole(run / RECORD, json.dumps(asdict(self)))


def find(run: Path) -> Record | None:
    """The gateway of this run folder; None if none runs."""
    with suppress(OSError, ValueError):
        record = Record(**json.loads((run / RECORD).read_text()))
        words = Path(f"/proc/{record.pid}/cmdline").read_bytes().split(b"\0")
        if b"gateway" in words and any(b"lungct" in word for word in words):
            return record
    return None


def reload(run: Path) -> bool:
    """Have a running gateway read keys, certificates and settings again; False if none runs."""
    record = find(run)
    if record:
        os.kill(record.pid, signal.SIGHUP)
    return record is not None


def drain(run: Path, deadline_s: float) -> bool:
    """Have a running gateway finish its requests and end; True once none runs. `deadline_s` begins after its notice."""
    record = find(run)
    if record:
        os.kill(record.pid, signal.SIGTERM)
        deadline_s += record.notice_s
    return any(find(run) is None for _ in poll(deadline_s, 0.05))
