"""A script that takes series through a spool to an archive, killing itself before every step that changes the disk or
asks a peer, and going on each time as a restarted process would. Prints what stands at the end, a JSON line a step.

    python -m tests.pacs.crash RUN SPOOLS ARCHIVE
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
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


class Never:
    """A stop event that nobody sets."""

    def wait(self, seconds: float) -> bool:
        import time

        time.sleep(seconds)
        return False


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


def take(root: Path, name: str, server: Local, archive: str) -> None:
    """A sender sends three slices, as often as it must, and the keeper brings them to the archive."""
    with Spool(root, 10**9) as spool:
        destination = StowDestination(archive, None, None)
        connect = lambda: Scorer(Fleet([server], 60))  # noqa: E731
        terms = Terms(quiet=0.2, keep=3600, keep_failed=3600)
        with keeping(spool, connect, Choice(), [destination], terms, 2) as keeper:
            for body in draw_series(3, name=name):
                series, new = spool.put(body, read_header(body))
                if new:
                    keeper.arrive(series, new)
            run(keeper, Never(), until_idle=True)


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
        take(root / "whole", "whole", server, archive)
        found.write_text("\n".join(seen))

    assert fork(act) == 0
    return found.read_text().splitlines()


def main() -> None:
    server, root, archive = Local.read(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
    for number, place in enumerate(list_steps(root, server, archive)):
        spool, name = root / str(number), f"crash {number}"

        def die(here: str, place: str = place) -> None:
            if here == place:
                os.kill(os.getpid(), signal.SIGKILL)

        def killed(spool: Path = spool, name: str = name) -> None:
            watch(die)
            take(spool, name, server, archive)

        first = fork(killed)
        second = fork(lambda spool=spool, name=name: take(spool, name, server, archive))
        versions = sorted(path.name for path in spool.glob("series/*/out/*"))
        row = {"place": place, "first": first, "second": second, "name": name, "versions": versions}
        sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
