"""A script that takes series through one spool to an archive, killing itself before every step that changes the disk or
asks a peer. The next process finishes what the last one left, and is killed before the next step; the last one is not
killed. Prints a JSON line a step.

    python -m tests.pacs.crash RUN SPOOLS ARCHIVE
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import requests

from lungct_client import Local
from lungct_tools.folder.fleet import Fleet
from lungct_tools.folder.journal import Journal
from lungct_tools.pacs.keeper import Terms
from lungct_tools.pacs.outbox import StowDestination
from lungct_tools.pacs.results import Choice
from lungct_tools.pacs.scorer import Scorer
from lungct_tools.pacs.service import keeping, run
from lungct_tools.pacs.spool import Spool
from tests.support.series import draw_series, read_header

STEPS = ((os, "fsync"), (os, "write"), (Path, "replace"), (Path, "rename"), (shutil, "rmtree"), (Journal, "append"),
         (requests.Session, "request"))  # fmt: skip


def watch(met: Callable[[str], None]) -> None:
    """Call `met` with the place in our code before each of STEPS."""
    for owner, name in STEPS:
        original = getattr(owner, name)

        def wrapped(*args, _original=original, _name=name, **kwargs):
            frame = sys._getframe(1)
            while frame and "/scripts/pacs/" not in frame.f_code.co_filename:
                frame = frame.f_back
            if frame:
                met(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}:{frame.f_lineno} {_name}")
            return _original(*args, **kwargs)

        setattr(owner, name, wrapped)


def heard(root: Path) -> Path:
    """The file of the senders that heard Success for every slice."""
    return root.with_suffix(".heard")


def take(root: Path, names: Sequence[str], server: Local, archive: str) -> None:
    """Senders send three slices each, as often as they must, and the keeper brings all that is there to the archive."""
    with Spool(root, 10**9) as spool:
        destination = StowDestination(archive, None, None)
        connect = lambda: Scorer(Fleet([server], 60))  # noqa: E731
        terms = Terms(quiet=0.2, keep=3600, keep_failed=3600)
        with keeping(spool, connect, Choice(), [destination], terms, 2) as keeper:
            for name in names:
                for body in draw_series(3, name=name):
                    series, new = spool.put(body, read_header(body))
                    if new:
                        keeper.arrive(series, new)
                with heard(root).open("a") as file:
                    file.write(f"{name}\n")
            run(keeper, threading.Event(), until_idle=True)


def fork(act: Callable[[], None]) -> int:
    """The exit status of a child that does this."""
    child = os.fork()
    if not child:
        status = 1
        try:
            act()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def list_steps(root: Path, server: Local, archive: str) -> list[str]:
    """The places of all steps of an undisturbed run, in the order of their first time."""
    found = root / "steps"

    def act() -> None:
        seen: dict[str, None] = {}
        watch(lambda place: seen.setdefault(place))
        take(root / "whole", ["whole"], server, archive)
        found.write_text("\n".join(seen))

    assert fork(act) == 0
    return found.read_text().splitlines()


def die_before(place: str, act: Callable[[], None]) -> int:
    """The exit status of a child that does this until it comes to a step."""

    def meet(here: str) -> None:
        if here == place:
            os.kill(os.getpid(), signal.SIGKILL)

    def die() -> None:
        watch(meet)
        act()

    return fork(die)


def main() -> None:
    server, root, archive = Local.read(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
    spool, sending = root / "spool", []
    for number, place in enumerate(list_steps(root, server, archive)):
        sending.append(f"crash {number}")
        draw_series(3, name=sending[-1])  # once for all children
        status = die_before(place, lambda names=tuple(sending): take(spool, names, server, archive))
        sys.stdout.write(json.dumps({"place": place, "name": sending[-1], "status": status}) + "\n")
        known = heard(spool).read_text().splitlines() if heard(spool).exists() else []
        sending = [name for name in sending if name not in known]
    assert fork(lambda: take(spool, sending, server, archive)) == 0


if __name__ == "__main__":
    main()
