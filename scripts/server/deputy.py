"""A second server beside that of a run folder: its deputy, or the candidate of a canary or a shadow.

`lungct update` brings it up (scripts/operate/update.py). A deputy answers all callers of the gateway while the first
server starts again, a candidate a share of them until it is promoted or taken back; in a shadow it gets copies of that
share, and no caller its answers. All that it has lies in one folder within the run folder of the first, where the
gateway of a systemd unit sees it, too, and where others find it and can end it, should the update be killed.
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
from lungct_tools.server.processes import is_stopped, lives, read_birth
from lungct_tools.server.runfolder import claim, is_ours, write_whole
from lungct_tools.server.shutdown import stop

FOLDER = "deputy"  # in the run folder: the archive that is tried
RUN, RECORD = f"{FOLDER}/run", f"{FOLDER}/deputy.json"  # the deputy's own run folder
ASKED = f"{FOLDER}/asked"  # there while it is appointed: it can be taken away on a full disk, too
SHARE = f"{FOLDER}/share"  # there while it is a candidate, with the per cent of the requests that are for it
SHADOW = f"{FOLDER}/shadow"  # there while it gets copies of that share alone


@dataclass(frozen=True)
class Deputy:
    """The record of a second server.

    Attributes:
        asked: whether it is appointed: the gateway's requests are for it.
        pid, birth: of the process that brought it up and is to end it, see `read_birth`; nobody has to end a candidate.
        percent: of the gateway's requests that are for it while it is a candidate; 0: it is none.
        shadow: whether it gets copies of these alone.
    """

    asked: bool
    pid: int
    birth: str
    percent: float = 0.0
    shadow: bool = False

    @property
    def kind(self) -> str:
        """What a candidate is for, in a word."""
        return "shadow" if self.shadow else "canary"

    @property
    def orphaned(self) -> bool:
        """Whether nobody is left who would end it."""
        return not self.percent and not lives(self.pid, self.birth)

    def write(self, run: Path) -> None:
        write_whole(run / RECORD, json.dumps({"pid": self.pid, "birth": self.birth}))
        if self.asked:
            (run / ASKED).touch()
        else:
            (run / ASKED).unlink(missing_ok=True)
        (run / SHARE).unlink(missing_ok=True)  # first: without the next one it would be a canary's
        if self.shadow:
            (run / SHADOW).touch()
        else:
            (run / SHADOW).unlink(missing_ok=True)
        if self.percent:
            write_whole(run / SHARE, f"{self.percent:g}")


@dataclass(frozen=True)
class Route:
    """Whom the gateway asks.

    Attributes:
        server: the one that answers what is not for the candidate.
        candidate: a second one that runs; None: there is none.
        percent: of the requests that are for the candidate, over 0; 0 without one.
        shadow: whether it gets copies of these, and the server answers all.
    """

    server: Instance
    candidate: Instance | None = None
    percent: float = 0.0
    shadow: bool = False

    @property
    def place(self) -> Path:
        """Folder where nginx's workers stand while they have this route, see scripts/proxy/turning.py."""
        return self.candidate.run.parent if self.candidate else self.server.run

    def leads_as(self, other: Route) -> bool:
        """Whether nginx would do the same: a server that has only started again is asked where it was."""
        return self._places == other._places

    @property
    def _places(self) -> tuple[object, ...]:
        second = (self.candidate.ports, self.percent, self.shadow) if self.candidate else ()
        return (self.place, self.server.ports, *second)


def note(run: Path, asked: bool, percent: float = 0.0, shadow: bool = False) -> None:
    """Record that this process has a second server up for that of `run`, and which requests the gateway has for it."""
    claim(run / FOLDER)
    Deputy(asked, os.getpid(), read_birth(os.getpid()), percent, shadow).write(run)


def find_deputy(run: Path) -> Deputy | None:
    """The deputy of a run folder; None if there is none, or if its folder is not ours: what it says is not believed."""
    with suppress(OSError, ValueError, TypeError):
        more = {"percent": _read_share(run), "shadow": (run / SHADOW).is_file()}
        record = Deputy((run / ASKED).is_file(), **json.loads(read_plain(run / RECORD)), **more)
        whole = (type(record.pid), type(record.birth), 0 <= record.percent <= 100) == (int, str, True)
        if whole and is_ours(run) and is_ours(run / FOLDER):
            return record
    return None


def _read_share(run: Path) -> float:
    """The per cent that are for a candidate, 0 where there is none; looked for once, as it comes and goes."""
    try:
        return float(read_plain(run / SHARE))
    except FileNotFoundError:
        return 0.0


def is_divided(run: Path) -> bool:
    """Whether a canary or a shadow is under way."""
    deputy = find_deputy(run)
    return deputy is not None and deputy.percent > 0


def find_asked(instance: Instance) -> Instance:
    """Who answers in general: the deputy of this server while it is appointed and runs, else the server itself."""
    return find_route(instance).server


def find_route(instance: Instance) -> Route:
    """Whom the gateway is to ask in the place of this server, or beside it."""
    deputy = find_deputy(instance.run)
    if deputy and (deputy.asked or deputy.percent):
        with suppress(ServerError):
            second = Instance.read(instance.run / RUN)
            if second.running and not is_stopped(second.pid):
                return Route(second) if deputy.asked else Route(instance, second, deputy.percent, deputy.shadow)
    return Route(instance)


def dismiss(run: Path) -> None:
    """Have the gateway ask the server itself alone again; the second one goes on with what it has."""
    if find_deputy(run):
        (run / ASKED).unlink(missing_ok=True)
        (run / SHARE).unlink(missing_ok=True)


def end_deputy(run: Path) -> None:
    """End what there is of a second server, and remove its folder.

    Raises:
        ServerError: its record is damaged, or its folder another user's.
    """
    if is_ours(run) and is_ours(run / FOLDER):
        stop(Instance.read(run / RUN))
        shutil.rmtree(run / FOLDER)
