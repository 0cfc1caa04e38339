"""More callers than the server can serve: it refuses the rest, and loses little of its rate by that."""

import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from lungct_tools.bench.load import TAIL_S, WARM_S, WRK_MISSING, Target, find_wrk, run_closed
from tests.faults.site import BACK_S, CROWD, QUEUE
from tests.faults.table import format_row
from tests.support.calls import wait_until
from tests.support.pictures import encode
from tests.support.traffic import Traffic

pytestmark = [pytest.mark.server, pytest.mark.ops, pytest.mark.timeout(600)]  # the site's start included

ROUTE = "/predictions/lung_ct"
WINDOW_S, LONGEST_S = 11, 44  # of load, to measure a rate in: the start of a crowd, a hundred handshakes, is in it
ENOUGH = 64  # answers in a window, four batches, else it is doubled
MOST = 6  # rounds that a busy machine may take
CROWDED = 3  # times the peak, that a round has to offer to count
KEPT = 0.7  # of the peak: a server that collapses keeps half or less, and neighbours on the machine cost a tenth or two


@dataclass(frozen=True)
class Round:
    """Attributes: answers a second without a crowd; with it, as a share of that; the crowd's requests a second, and the
    share of them that is refused."""

    peak: float
    kept: float
    offered: float
    refused: float


def overload(crowd, callers, pauses, recover, enough):
    """Rounds in which at least CROWDED times the peak was offered; one that offered less shortens the next ones' pause.

    Peak and overload take turns, so that whatever else the machine does cancels out; where it does not, more rounds
    tell a neighbour's noise from a collapse, which is in every round.

    Args:
        pauses: of a caller between two requests, in units of QUEUE answers at the peak; the last one stays.
        recover: waits for the server to be done with what a crowd left in its queue.
        enough: rounds that have to count.
    """
    counted, shorter, seconds = [], iter(pauses), WINDOW_S
    pause = next(shorter)
    for _ in range(MOST):
        peak = run_closed(crowd, QUEUE, seconds).rate
        if peak * seconds < ENOUGH and seconds < LONGEST_S:  # others have the machine
            seconds *= 2
        elif peak:
            over = run_closed(crowd, callers, seconds, pause_s=pause * QUEUE / peak)
            offered = over.answered / (WARM_S + seconds + TAIL_S)
            if offered >= CROWDED * peak:
                counted.append(Round(peak, over.rate / peak, offered, over.errors / over.answered))
            else:
                pause = next(shorter, pause)
        recover()
        if len(counted) >= enough and median(counted, "kept") >= KEPT:
            break
    assert len(counted) >= enough, f"of {MOST} rounds {len(counted)} offered {CROWDED} times the peak, the rest less"
    return counted


def median(rounds, name):
    return statistics.median(getattr(each, name) for each in rounds)


@pytest.fixture
def enough(request):
    """Rounds that have to count: more where the table is written."""
    return 3 if request.config.getoption("--faults") else 2


@pytest.fixture
def crowd(site, phantoms):
    bodies = [encode(pixels, "JPEG", quality=92) for pixels in phantoms]
    keys = [{"Authorization": f"Bearer {site.door.keys[name]}"} for name in CROWD]
    wait_until(site.is_ready, BACK_S, "ready")
    return [Target(site.door.port, ROUTE, key, bodies, "https") for key in keys]


@pytest.mark.skipif(not find_wrk(), reason=WRK_MISSING)
def test_three_times_more_than_it_can_do_makes_it_refuse_politely_and_not_collapse(site, crowd, enough, slices, rows):
    """One worker of one thread, and wrk as the crowd: what the callers themselves cost must not be taken from it."""
    patient = Traffic(site.door.client("alice", deadline_s=180, timeout_s=90), slices, 1, rest_s=0.5)
    raw = Traffic(site.door.client("raw", deadline_s=0, timeout_s=90), slices, 1, rest_s=0.5)

    def recover():
        answered = patient.answered
        wait_until(lambda: patient.answered > answered + 1, BACK_S, "the queue is empty again")

    with site.scaled_to(1), patient, raw:
        # Of four callers a place, a third of a queue stands in it; the others come back to offer 3.5 times the peak.
        rounds = overload(crowd, 4 * QUEUE, (4 / 3.5 - 1 / 3, 0.4, 0.2, 0.0), recover, enough)
    ratio, lost = median(rounds, "kept"), sum(patient.failures().values())
    sees = f"503 for {median(rounds, 'refused'):.0%}; answers a second: {ratio:.2f} of the peak"
    rows.append(format_row("three times the load that it can take", sees, lost))
    assert (lost, patient.answered > 5) == (0, True)
    assert set(raw.failures()) <= {"503", "no connection"}  # the latter where a token expires meanwhile
    assert min(each.refused for each in rounds) > 0
    assert ratio >= KEPT


def pin(pids, cores):
    """Let processes run on these cores alone, with all the threads that they have."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # ended meanwhile
                os.sched_setaffinity(int(task.name), cores)


@pytest.mark.skipif(not find_wrk(), reason=WRK_MISSING)
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the load needs a core of its own")
def test_callers_that_do_not_pause_after_a_refusal_leave_the_server_most_of_its_rate(site, crowd, enough, slices, rows):
    """The load has a core of its own: what its callers cost must not be taken from the server's."""
    all_cores = os.sched_getaffinity(0)
    own, served = {max(all_cores)}, all_cores - {max(all_cores)}
    queued = site.door.client("alice", deadline_s=BACK_S)  # the queue is first in, first out
    with site.scaled_to(1):
        try:
            pin(site.processes(), served)
            os.sched_setaffinity(0, own)
            rounds = overload(crowd, 8 * QUEUE, (0.0,), lambda: queued.predict(slices[0]), enough)
        finally:
            os.sched_setaffinity(0, all_cores)
            pin(site.processes(), all_cores)
    ratio, peak, sent = (median(rounds, name) for name in ("kept", "peak", "offered"))
    sees = f"{sent:.0f} requests a second; answers a second: {ratio:.2f} of the peak of {peak:.0f}"
    rows.append(format_row(f"{8 * QUEUE} callers without pause, on a core of their own", sees))
    assert ratio >= KEPT


def test_a_full_queue_says_when_to_come_back(site, slices):
    wait_until(site.is_ready, BACK_S, "ready")
    with ThreadPoolExecutor(4 * QUEUE) as pool:
        keys, bodies = [site.door.keys[name] for name in CROWD] * QUEUE, slices * QUEUE
        ask = partial(site.door.ask, "POST", ROUTE)
        answers = list(pool.map(lambda key, body: ask(key, data=body), keys, bodies))
    refused = [answer for answer in answers if answer.status_code != 200]
    said = {(answer.status_code, answer.headers["Retry-After"], answer.json()["error"]) for answer in refused}
    assert said == {(503, "2", "unavailable")}
