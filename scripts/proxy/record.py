"""How others find the gateway of a run folder and tell it what to do."""

from __future__ import annotations

import json
import math
import os
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lungct_client.address import read_plain
from lungct_tools.server.polling import poll
from lungct_tools.server.processes import lives, read_birth
from lungct_tools.server.runfolder import is_ours, write_whole

RECORD = "gateway/supervisor.json"
GUARD = "gateway/guard.json"  # of the process that starts the supervisor again, see scripts/proxy/guard.py
FINISH_S = 160.0  # for requests in flight: a little over worker_shutdown_timeout of config/nginx/nginx.conf


@dataclass(frozen=True)
class Record:
    """The gateway that runs, and what it was started with for good.

    Attributes:
        pid: its supervisor.
        birth: when that process began, see `read_birth`: its number may go to another one.
        patience_s: see scripts/proxy/watchdog.py.
        notice_s: how long a drain says not ready before it refuses requests.
        supervised: whether others start a server again that has ended, see scripts/proxy/watchdog.py.
        plain: whether it speaks HTTP without TLS, see scripts/proxy/plain.py.
    """

    pid: int
    birth: str
    patience_s: float
    notice_s: float
    supervised: bool = False
    plain: bool = False

    @property
    def options(self) -> str:
        """Those of lungct gateway that it was started with for good."""
        words = f"--patience {self.patience_s:g} --notice {self.notice_s:g}"
        return words + " --supervised" * self.supervised + " --plain" * self.plain

    @property
    def revives(self) -> bool:
        """Whether a server that has ended is started again, by its watchdog or by others."""
        return self.supervised or not math.isinf(self.patience_s)

    def write(self, run: Path) -> None:
        write_whole(run / RECORD, json.dumps(asdict(self)))


def find(run: Path) -> Record | None:
    """The gateway of this run folder; None if none runs, or if the folder is not ours: what it says is not believed."""
    with suppress(OSError, ValueError, TypeError):
        record = Record(**json.loads(read_plain(run / RECORD)))
        numbers = (type(record.pid), type(record.patience_s), type(record.notice_s))
        if {*numbers} <= {int, float} and lives(record.pid, record.birth) and is_ours(run) and is_ours(run / "gateway"):
            return record
    return None


def write_guard(run: Path) -> None:
    """Record this process as the guard."""
    write_whole(run / GUARD, json.dumps({"pid": os.getpid(), "birth": read_birth(os.getpid())}))


def find_guard(run: Path) -> int | None:
    """The process that guards this run folder's gateway; None if none does."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        document = json.loads(read_plain(run / GUARD))
        pid = document["pid"]
        if type(pid) is int and lives(pid, document["birth"]) and is_ours(run) and is_ours(run / "gateway"):
            return pid
    return None


def reload(run: Path) -> bool:
    """Have a running gateway read keys, certificates and settings again; False if none runs."""
    record = find(run)
    if record:
        os.kill(record.pid, signal.SIGHUP)
    return record is not None


def drain(run: Path, deadline_s: float) -> bool:
    """Have a running gateway finish its requests and end; True once none runs. `deadline_s` begins after its notice."""
    told: dict[int, str] = {}  # a supervisor takes its record away a moment before it ends
    record = find(run)
    for _ in poll(deadline_s + (record.notice_s if record else 0), 0.05):
        record, guard = find(run), find_guard(run)  # a guard may just have started another supervisor
        if not (record or guard or any(lives(*each) for each in told.items())):
            return True
        for pid in {record.pid if record else None, guard} - {None, *told}:
            told[pid] = read_birth(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
    return False
