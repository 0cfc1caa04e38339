"""Break the real server behind the real gateway under load, and count. `make faults` writes the table of it."""

import os
import socket
import ssl
import threading
from contextlib import ExitStack

import pytest

from lungct_client import Tokens
from tests.faults.site import BACK_S, CROWD, RETRY_S, GivenUp, kill
from tests.faults.table import count, format_row
from tests.support.calls import wait_until
from tests.support.traffic import Traffic, is_ended

pytestmark = [pytest.mark.server, pytest.mark.ops, pytest.mark.timeout(600)]  # the site's start included

ROUTE = "/predictions/lung_ct"
SOAK_S = float(os.environ.get("LUNG_CT_SOAK_S", "20"))


def test_one_killed_worker_of_two_costs_at_most_a_503(site, load):
    with load("one of two workers killed") as raw:
        victim = site.worker_pids()[0]
        kill(victim)
        wait_until(lambda: victim not in site.worker_pids(), BACK_S, "it is gone")
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
        wait_until(lambda: site.instance.pid not in (0, before), BACK_S, "another server")
    assert set(raw.failures()) <= {"503"}


def test_workers_that_crash_until_torchserve_gives_up_come_back_through_the_watchdog(site, load):
    before = site.instance.pid
    with load(f"workers crash for longer than the retry window ({RETRY_S} s here)") as raw:
        site.flag.touch()
        for victim in site.worker_pids():
            kill(victim)
        wait_until(lambda: site.door.ask("GET", "/readyz").status_code == 503, BACK_S, "not ready")
        wait_until(GivenUp(site), 90, "TorchServe starts no worker any more")
        assert not site.worker_pids()
        site.flag.unlink()
        wait_until(lambda: site.instance.pid not in (0, before), BACK_S, "another server")
    assert set(raw.failures()) <= {"503"}


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


@pytest.mark.timeout(0)
def test_a_soak_of_steady_load_loses_nothing_and_memory_stays_flat(site, slices, rows):
    """LUNG_CT_SOAK_S seconds of a load that leaves room; `make bench` looks at memory under all the load there is."""
    wait_until(site.is_ready, BACK_S, "ready")
    with Traffic(site.door.client("alice"), slices, 4, rest_s=0.5) as traffic:
        threading.Event().wait(warm_s := max(10, SOAK_S / 10))
        before = site.memory()
        threading.Event().wait(SOAK_S + 10 - warm_s)  # measured: nothing to wait for but time
        after = site.memory()
        grown = {each: after[each] - rss for each, rss in before.items() if each in after}
    share = sum(grown.values()) / sum(before.values())
    sees = f"{count(traffic.failures())}; {traffic.answered} answers in {SOAK_S:.0f} s, memory {share:+.1%}"
    if SOAK_S >= 3600:  # `make soak`; the short form leaves its row alone
        rows.append(format_row("none: steady load", sees))
    assert set(site.worker_pids()) <= {pid for pid, _ in before}, "a worker was replaced"
    assert not traffic.failures()
    assert share < 0.03, sorted((rss, name) for (_, name), rss in grown.items())
