"""What is killed or stopped beside the workers, and a disk that has no room: each comes back by itself."""

import os
import signal
import threading
import time
from contextlib import suppress

import pytest

from lungct_tools.proxy.record import find, find_guard
from lungct_tools.proxy.supervisor import CHECK_S
from lungct_tools.server.health import CANARY_TIMEOUT_S
from tests.faults.site import BACK_S, kill
from tests.support.calls import wait_until

pytestmark = [pytest.mark.server, pytest.mark.ops, pytest.mark.timeout(600)]  # the site's start included

FULL_S = 12  # that the disk stays full
# A check whose canary is in the hands of the worker that is stopped waits for it before the next one tells. Less than
# responseTimeout, after which TorchServe would tell.
TOLD_S = CANARY_TIMEOUT_S + 2 * CHECK_S


def fill(folder):
    """Take what is left of a disk, in one file that grows."""
    with suppress(OSError), (folder / "filler").open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_disk_that_stays_full_for_a_while_costs_little_more_than_that_while(site, load):
    """TorchServe is killed in it. Nothing can start, and what tries meanwhile must not make the outage longer."""
    if not site.has_disk:
        pytest.skip("only root can give the run folder a disk of its own")
    before = site.instance.pid
    with load(f"disk of the run folder full for {FULL_S} s, and TorchServe killed in it"):
        fill(site.run)
        site.java().kill()
        ends = time.monotonic() + FULL_S
        while time.monotonic() < ends:
            fill(site.run)  # also what is freed meanwhile
            threading.Event().wait(0.05)
        (site.run / "filler").unlink()
        freed = time.monotonic()
        wait_until(lambda: site.instance.pid not in (0, before), BACK_S, "another server")
        waited = time.monotonic() - freed
    assert waited < FULL_S + 10, "pauses double: at most as long again, and a start"


def test_a_killed_nginx_is_there_again(site, load):
    """Once there is a guard: an nginx that ends in its first seconds cannot start at all."""
    wait_until(lambda: find_guard(site.run), BACK_S, "there is a guard")
    with load("nginx's master killed") as raw:
        master = site.door.master()
        kill(master)
        wait_until(lambda: site.door.master() not in (0, master), BACK_S, "another one")
    assert set(raw.failures()) <= {"503", "no connection"}


def test_a_killed_supervisor_is_there_again_with_its_nginx(site, load):
    wait_until(lambda: find_guard(site.run), BACK_S, "there is a guard")
    with load("the gateway's supervisor killed") as raw:
        before = find(site.run)
        kill(before.pid)
        wait_until(lambda: find(site.run) not in (None, before), BACK_S, "another one")
    assert set(raw.failures()) <= {"503", "no connection"}


def test_a_killed_guard_is_there_again_and_nobody_notices(site, load):
    wait_until(lambda: find_guard(site.run), BACK_S, "there is a guard")
    with load("the supervisor's guard killed") as raw:
        before = find_guard(site.run)
        kill(before)
        wait_until(lambda: find_guard(site.run) not in (None, before), BACK_S, "another one")
    assert not raw.failures()


def test_a_stopped_worker_is_told_at_once_and_holds_its_batch_no_longer_than_the_deadline(site, load):
    """SIGSTOP: a process that is there and does nothing. TorchServe still calls it READY."""
    deadline_s = site.describe()["responseTimeout"]
    with load(f"one of two workers stopped, not dead (responseTimeout {deadline_s} s)") as raw:
        victim = site.worker_pids()[0]
        os.kill(victim, signal.SIGSTOP)
        wait_until(lambda: site.door.ask("GET", "/readyz").status_code == 503, TOLD_S, "not ready")
        wait_until(lambda: victim not in site.worker_pids(), deadline_s + 30, "TorchServe gives it up")
    assert set(raw.failures()) <= {"503", "500"}
    assert max(call.ended - call.started for call in raw.calls) < deadline_s + 15
