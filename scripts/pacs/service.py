"""A keeper with its outbox and threads, from start to stop: what `listen` and `pull` have in common."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from lungct_tools.dicomout.objects import warm_up
from lungct_tools.pacs.keeper import Keeper, Terms
from lungct_tools.pacs.outbox import Destination, Outbox
from lungct_tools.pacs.results import Choice
from lungct_tools.pacs.scorer import Scorer
from lungct_tools.pacs.spool import Spool
from lungct_tools.pacs.status import WRITE_S, write_numbers

TICK_S = 0.1
DELIVER_S = 0.2


@contextmanager
def keeping(
    spool: Spool,
    connect: Callable[[], Scorer],
    choice: Choice,
    destinations: Sequence[Destination],
    terms: Terms,
    concurrency: int,
) -> Iterator[Keeper]:
    """A keeper whose results are sent, each peer by a thread of its own, until the block ends."""
    warm_up()
    outbox = Outbox(destinations, spool)
    keeper = Keeper(spool, connect, choice, outbox, terms, concurrency)
    _write(spool, keeper, outbox)  # whoever watches knows from the first moment
    stop = threading.Event()
    threads = [threading.Thread(target=_repeat, args=(lambda p=peer: outbox.deliver(p), DELIVER_S, stop), daemon=True)
               for peer in outbox.peers]  # fmt: skip
    threads.append(
        threading.Thread(target=_repeat, args=(lambda: _write(spool, keeper, outbox), WRITE_S, stop), daemon=True)
    )
    for thread in threads:
        thread.start()
    try:
        yield keeper
    finally:
        stop.set()
        keeper.close()
        for thread in threads:
            thread.join(timeout=5)  # a peer that hangs is not waited for: what it did not confirm is sent again
        _write(spool, keeper, outbox, ended=True)


def run(keeper: Keeper, stop: threading.Event, until_idle: bool) -> None:
    """Tick until `stop` is set, or nothing is left to do."""
    while not stop.wait(TICK_S):
        keeper.tick()
        if until_idle and keeper.idle():
            return


def _write(spool: Spool, keeper: Keeper, outbox: Outbox, ended: bool = False) -> None:
    try:
        write_numbers(spool.root, set(outbox.peers), keeper.scored, keeper.waits_since(), ended)
    except OSError as error:  # a full disk must not end the thread
        spool.note("numbers_unwritten", reason=type(error).__name__)


def _repeat(act: Callable[[], None], every_s: float, stop: threading.Event) -> None:
    while not stop.wait(every_s):
        act()
