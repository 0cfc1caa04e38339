"""Break the real server behind the real gateway under load, and count. `make faults` writes the table of it."""

import os
import socket
import ssl
import statistics
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import psutil
import pytest

from lungct_client import Tokens
from lungct_tools.bench.load import TAIL_S, WARM_S, WRK_MISSING, Target, find_wrk, run_closed
from lungct_tools.proxy.record import reload
from tests.faults.site import BACK_S, CROWD, QUEUE, RETRY_S, GivenUp, kill
from tests.faults.table import count, format_row
from tests.support.calls import wait_until
from tests.support.gateways import stop_in_background
from tests.support.pictures import encode
from tests.support.traffic import Traffic, is_ended, strict_call

pytestmark = [pytest.mark.server, pytest.mark.ops, pytest.mark.timeout(600)]  # the site's start included

ROUTE = "/predictions/lung_ct"
SOAK_S = float(os.environ.get("LUNG_CT_SOAK_S", "20"))
WINDOW_S = 5  # of load, to measure a rate in


def test_one_killed_worker_of_two_costs_at_most_a_503(site, load):
    with load("one of two workers killed") as raw:
        victim = site.worker_pids()[0]
        kill(victim)
        wait_until(lambda: victim not in site.worker_pids(), 10, "it is gone")
    assert set(raw.failures()) <= {"503"}


def test_all_workers_killed_cost_at_most_503s(site, load):
    with load("all workers killed") as raw:
        for victim in site.worker_pids():
            kill(victim)
    assert set(raw.failures()) <= {"503"}


def test_torchserve_killed_is_started_again(site, load):
    before = site.instance.pid
    with load("TorchServe killed") as raw:
        site.java().kill()
        wait_until(lambda: site.instance.pid not in (0, before), 60, "another server")
    assert set(raw.failures()) <= {"503"}


def test_workers_that_crash_until_torchserve_gives_up_come_back_through_the_watchdog(site, load):
    before = site.instance.pid
    with load(f"workers crash for longer than the retry window ({RETRY_S} s here)") as raw:
        site.flag.touch()
        for victim in site.worker_pids():
            kill(victim)
        wait_until(lambda: site.door.ask("GET", "/readyz").status_code == 503, 30, "not ready")
        wait_until(GivenUp(site), 90, "TorchServe starts no worker any more")
        site.flag.unlink()
        assert not site.worker_pids()
        wait_until(lambda: site.instance.pid not in (0, before), 90, "another server")
    assert set(raw.failures()) <= {"503"}


def test_full_log_disks_stop_neither_a_running_nor_a_starting_server(site, load):
    """/dev/full answers every write as a full disk does."""
    logs = [site.door.folder / "access.log", site.instance.log]
    with load("disk full for all logs, and TorchServe killed"):
        for log in logs:
            log.unlink()
            log.symlink_to("/dev/full")
        before = site.instance.pid
        reload(site.run)  # opens the logs anew
        site.java().kill()
        wait_until(lambda: site.instance.pid not in (0, before), 60, "another server")
    for log in logs:
        log.unlink()


def test_slow_and_half_open_clients_hold_up_nobody(site, load):
    context = ssl.create_default_context(cafile=str(site.door.ca))
    lines = (f"POST {ROUTE} HTTP/1.1", "Host: x", "Content-Length: 9999", "Authorization: Bearer {}", "", "")
    heads = ["\r\n".join(lines).format(site.door.keys[name]) for name in CROWD]
    with load("100 uploads that stall and 50 connections that stay silent") as raw, ExitStack() as stack:
        stalled = []
        for i in range(150):
            plain = stack.enter_context(socket.create_connection(("127.0.0.1", site.door.port), timeout=40))
            if i < 100:
                stalled.append(stack.enter_context(context.wrap_socket(plain, server_hostname="localhost")))
                stalled[-1].sendall(f"{heads[i % len(heads)]}half of".encode())
        assert all(map(is_ended, stalled))  # nginx gives up on them: client_body_timeout
    assert not raw.failures()


def test_a_token_that_expires_under_load_costs_nothing(site, load):
    """token_expiration_min=1 here."""
    tokens = Tokens(site.instance.keys)
    before = tokens.read("inference")
    with load("TorchServe's token expires") as raw:
        wait_until(lambda: tokens.read("inference") != before, 90, "another token")
    # nginx takes it over by a reload, which may close an idle connection in the moment of its next use
    assert set(raw.failures()) <= {"no connection"}


@pytest.mark.skipif(not find_wrk(), reason=WRK_MISSING)
def test_three_times_more_than_it_can_do_makes_it_refuse_politely_and_not_collapse(site, phantoms, slices, rows):
    """One worker of one thread, and wrk as the crowd: what the callers themselves cost must not be taken from it."""
    bodies = [encode(pixels, "JPEG", quality=92) for pixels in phantoms]
    keys = [{"Authorization": f"Bearer {site.door.keys[name]}"} for name in CROWD]
    crowd = [Target(site.door.port, ROUTE, key, bodies, "https") for key in keys]
    wait_until(site.is_ready, BACK_S, "ready")
    patient = Traffic(site.door.client("alice", deadline_s=180, timeout_s=90), slices, 1, rest_s=0.5)
    raw = Traffic(site.door.client("raw", deadline_s=0, timeout_s=90), slices, 1, rest_s=0.5)
    refused, ratios, wanted = [], [], 3.5
    with site.scaled_to(1), patient, raw:
        for _ in range(9):  # side by side, so that whatever else the machine does cancels out
            peak = run_closed(crowd, QUEUE, WINDOW_S).rate
            waits_s = QUEUE / peak / 3  # a third of the callers stand in a full queue, the others are refused at once
            over = run_closed(crowd, 4 * QUEUE, WINDOW_S, pause_s=max(0.0, 4 * QUEUE / (wanted * peak) - waits_s))
            if over.answered / (WARM_S + WINDOW_S + TAIL_S) >= 3 * peak:
                refused.append(over.errors / over.answered)
                ratios.append(over.rate / peak)
            else:  # a slow machine's callers are late as well: they rest less
                wanted *= 1.15
            answered = patient.answered
            wait_until(lambda: patient.answered > answered + 1, 60, "the queue is empty again")  # noqa: B023
            if len(ratios) == 5:
                break
    assert len(ratios) >= 3, "rounds that offered three times the peak"
    ratio = statistics.median(ratios)
    sees = f"503 for {statistics.median(refused):.0%}; answers a second: {ratio:.2f} of the peak"
    lost = sum(patient.failures().values())
    rows.append(format_row("three times the load that it can take", sees, lost))
    assert (lost, patient.answered > 5) == (0, True)
    assert {"503"} <= set(raw.failures()) <= {"503", "no connection"}  # the latter where a token expires meanwhile
    assert ratio >= 0.9


def test_a_full_queue_says_when_to_come_back(site, slices):
    wait_until(site.is_ready, BACK_S, "ready")
    with ThreadPoolExecutor(4 * QUEUE) as pool:
        keys, bodies = [site.door.keys[name] for name in CROWD] * QUEUE, slices * QUEUE
        ask = partial(site.door.ask, "POST", ROUTE)
        answers = list(pool.map(lambda key, body: ask(key, data=body), keys, bodies))
    refused = [answer for answer in answers if answer.status_code != 200]
    said = {(answer.status_code, answer.headers["Retry-After"], answer.json()["error"]) for answer in refused}
    assert said == {(503, "2", "unavailable")}


@pytest.mark.timeout(0)
def test_a_soak_of_steady_load_loses_nothing_and_memory_stays_flat(site, slices, rows):
    """LUNG_CT_SOAK_S seconds of a load that leaves room; `make bench` looks at memory under all the load there is."""
    wait_until(site.is_ready, BACK_S, "ready")
    with Traffic(site.door.client("alice"), slices, 4, rest_s=0.5) as traffic:
        threading.Event().wait(warm_s := max(10, SOAK_S / 10))
        before = {pid: process.memory_info().rss for pid, process in site.processes().items()}
        threading.Event().wait(SOAK_S + 10 - warm_s)  # measured: nothing to wait for but time
        processes = site.processes()
        grown = {pid: processes[pid].memory_info().rss - rss for pid, rss in before.items() if pid in processes}
    share = sum(grown.values()) / sum(before.values())
    sees = f"{count(traffic.failures())}; {traffic.answered} answers in {SOAK_S:.0f} s, memory {share:+.1%}"
    if SOAK_S >= 3600:  # `make soak`; the short form leaves its row alone
        rows.append(format_row("none: steady load", sees))
    assert set(site.worker_pids()) <= set(before), "a worker was replaced"
    assert not traffic.failures()
    assert share < 0.03, sorted((rss, processes[pid].name()) for pid, rss in grown.items())


def test_stopping_under_load_finishes_every_request_that_was_accepted(site, slices, rows):
    """The last one: the site is gone after it."""
    wait_until(site.is_ready, BACK_S, "ready")
    left = list(site.processes())
    outcomes = []

    def call(number):
        while not outcomes.count("refused"):
            outcomes.append(strict_call(site.door, slices[number % 4]))

    with ThreadPoolExecutor(12) as pool:
        callers = [pool.submit(call, number) for number in range(12)]
        wait_until(lambda: len(outcomes) > 24, 60, "traffic flows")
        stopping = stop_in_background(site.run)
        for caller in callers:
            caller.result()
    assert stopping.wait(60) == 0
    counted = Counter(outcomes)
    sees = f"{counted['cut']} of {counted['200']} accepted requests cut; then connections refused"
    rows.append(format_row("`make stop` under load", sees))
    assert set(counted) == {"200", "refused"}
    assert not [pid for pid in left if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
