"""More callers than the server can serve: it refuses the rest, and loses little of its rate by that."""

import os
import statistics
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
WINDOW_S = 5  # of load, to measure a rate in


@pytest.mark.skipif(not find_wrk(), reason=WRK_MISSING)
def test_three_times_more_than_it_can_do_makes_it_refuse_politely_and_not_collapse(site, phantoms, slices, rows):
    """One worker of one thread, and wrk as the crowd: what the callers themselves cost must not be taken from it."""
    bodies = [encode(pixels, "JPEG", quality=92) for pixels in phantoms]
    keys = [{"Authorization": f"Bearer {site.door.keys[name]}"} for name in CROWD]
    crowd = [Target(site.door.port, ROUTE, key, bodies, "https") for key in keys]
    wait_until(site.is_ready, BACK_S, "ready")
    patient = Traffic(site.door.client("alice", deadline_s=180, timeout_s=90), slices, 1, rest_s=0.5)
    raw = Traffic(site.door.client("raw", deadline_s=0, timeout_s=90), slices, 1, rest_s=0.5)
    offered, refused, ratios = [], [], []
    with site.scaled_to(1), patient, raw:
        for _ in range(5):  # side by side, so that whatever else the machine does cancels out
            peak = run_closed(crowd, QUEUE, WINDOW_S).rate
            waits_s = QUEUE / peak / 3  # a third of the callers stand in a full queue, the others are refused at once
            over = run_closed(crowd, 4 * QUEUE, WINDOW_S, pause_s=4 * QUEUE / (3.5 * peak) - waits_s)
            offered.append(over.answered / (WARM_S + WINDOW_S + TAIL_S) / peak)
            refused.append(over.errors / over.answered)
            ratios.append(over.rate / peak)
            answered = patient.answered
            wait_until(lambda: patient.answered > answered + 1, 60, "the queue is empty again")  # noqa: B023
    ratio = statistics.median(ratios)
    sees = f"503 for {statistics.median(refused):.0%}; answers a second: {ratio:.2f} of the peak"
    lost = sum(patient.failures().values())
    rows.append(format_row("three times the load that it can take", sees, lost))
    assert (lost, patient.answered > 5) == (0, True)
    assert {"503"} <= set(raw.failures()) <= {"503", "no connection"}  # the latter where a token expires meanwhile
    assert statistics.median(offered) >= 3
    assert ratio >= 0.9


def pin(pids, cores):
    """Let processes run on these cores alone, with all the threads that they have."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # ended meanwhile
                os.sched_setaffinity(int(task.name), cores)


@pytest.mark.skipif(not find_wrk(), reason=WRK_MISSING)
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the load needs a core of its own")
def test_callers_that_do_not_pause_after_a_refusal_leave_the_server_most_of_its_rate(site, phantoms, rows):
    """The load has a core of its own: what its callers cost must not be taken from the server's."""
    bodies = [encode(pixels, "JPEG", quality=92) for pixels in phantoms]
    keys = [{"Authorization": f"Bearer {site.door.keys[name]}"} for name in CROWD]
    crowd = [Target(site.door.port, ROUTE, key, bodies, "https") for key in keys]
    all_cores = os.sched_getaffinity(0)
    own, served = {max(all_cores)}, all_cores - {max(all_cores)}
    wait_until(site.is_ready, BACK_S, "ready")
    peaks, ratios, offered = [], [], []
    try:
        pin(site.processes(), served)
        os.sched_setaffinity(0, own)
        for _ in range(3):
            peaks.append(run_closed(crowd, QUEUE, WINDOW_S).rate)
            over = run_closed(crowd, 8 * QUEUE, WINDOW_S)
            offered.append(over.answered / (WARM_S + WINDOW_S + TAIL_S))
            ratios.append(over.rate / peaks[-1])
            wait_until(site.is_ready, BACK_S, "the queue is empty again")
    finally:
        os.sched_setaffinity(0, all_cores)
        pin(site.processes(), all_cores)
    ratio = statistics.median(ratios)
    peak, sent = statistics.median(peaks), statistics.median(offered)
    sees = f"{sent:.0f} requests a second; answers a second: {ratio:.2f} of the peak of {peak:.0f}"
    rows.append(format_row(f"{8 * QUEUE} callers without pause, on a core of their own", sees))
    assert ratio >= 0.75


def test_a_full_queue_says_when_to_come_back(site, slices):
    wait_until(site.is_ready, BACK_S, "ready")
    with ThreadPoolExecutor(4 * QUEUE) as pool:
        keys, bodies = [site.door.keys[name] for name in CROWD] * QUEUE, slices * QUEUE
        ask = partial(site.door.ask, "POST", ROUTE)
        answers = list(pool.map(lambda key, body: ask(key, data=body), keys, bodies))
    refused = [answer for answer in answers if answer.status_code != 200]
    said = {(answer.status_code, answer.headers["Retry-After"], answer.json()["error"]) for answer in refused}
    assert said == {(503, "2", "unavailable")}
