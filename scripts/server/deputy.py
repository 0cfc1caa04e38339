"""The deputy: a second server, which answers the gateway's callers while that of a run folder starts again.

`lungct update` brings it up and appoints it (scripts/operate/update.py); the gateway asks it while it is appointed and
runs. All that it has lies in one folder within the run folder of the server that it stands for, where the gateway of a
systemd unit sees it, too, and where others find it and can end it, should the update be killed.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lungct_client import ServerError
from lungct_client.address import read_plain
from lungct_tools.server.instance import Instance
from lungct_tools.server.processes import lives, read_birth
from lungct_tools.server.runfolder import claim, is_ours, write_whole
from lungct_tools.server.shutdown import stop

FOLDER = "deputy"  # in the run folder: the archive that is tried
RUN, RECORD = f"{FOLDER}/run", f"{FOLDER}/deputy.json"  # the deputy's own run folder
ASKED = f"{FOLDER}/asked"  # there while it is appointed: it can be taken away on a full disk, too


@dataclass(frozen=True)
class Deputy:
    """The record of a second server.

    Attributes:
        asked: whether it is appointed: the gateway's requests are for it.
        pid, birth: of the process that brought it up and is to end it, see `read_birth`.
    """

    asked: bool
    pid: int
    birth: str

    @property
    def orphaned(self) -> bool:
        """Whether nobody is left who would end it."""
        return not lives(self.pid, self.birth)

    def write(self, run: Path) -> None:
        write_whole(run / RECORD, json.dumps({"pid": self.pid, "birth": self.birth}))
        if self.asked:
            (run / ASKED).touch()
        else:
            (run / ASKED).unlink(missing_ok=True)


def note(run: Path, asked: bool) -> None:
    """Record that this process has a second server up for that of `run`, and whether the gateway is to ask it."""
    claim(run / FOLDER)
    Deputy(asked, os.getpid(), read_birth(os.getpid())).write(run)


def find_deputy(run: Path) -> Deputy | None:
    """The deputy of a run folder; None if there is none, or if its folder is not ours: what it says is not believed."""
    with suppress(OSError, ValueError, TypeError):
        record = Deputy((run / ASKED).is_file(), **json.loads(read_plain(run / RECORD)))
        if (type(record.pid), type(record.birth)) == (int, str) and is_ours(run) and is_ours(run / FOLDER):
            return record
    return None


def find_asked(instance: Instance) -> Instance:
    """Whom the gateway is to ask: the deputy of this server while it is appointed and runs, else the server itself."""
    deputy = find_deputy(instance.run)
    if deputy and deputy.asked:
        with suppress(ServerError):
            acting = Instance.read(instance.run / RUN)
            if acting.running:
                return acting
    return instance


def dismiss(run: Path) -> None:
    """Have the gateway ask the server itself again; the deputy goes on with what it has."""
    if find_deputy(run):
        (run / ASKED).unlink(missing_ok=True)


def end_deputy(run: Path) -> None:
    """End what there is of a deputy, and remove its folder.

    Raises:
        ServerError: its record is damaged, or its folder another user's.
    """
    if is_ours(run) and is_ours(run / FOLDER):
        stop(Instance.read(run / RUN))
        shutil.rmtree(run / FOLDER)
