"""What the gateway's supervisor ends: nginx and what a killed one left, and no process of somebody else."""

import os
import signal
import subprocess
import sys

import pytest

from lungct_tools.proxy import keeper
from lungct_tools.proxy.record import drain
from lungct_tools.server.processes import list_members, lives, read_birth
from lungct_tools.server.serve import answers
from tests.conftest import run_script
from tests.nginx.callers import KEYS
from tests.support.calls import wait_until
from tests.support.gateways import read_master, run_nginx, skip_without_nginx
from tests.support.standins import run_stand_in

# Master and worker are one program here.
WORKER = """import os, signal
signal.signal(signal.SIGQUIT, lambda *_: os._exit(0))
os.fork()
print(flush=True)
signal.pause()
"""


class StandIn:
    """What Keeper needs of an Nginx; its processes pass for nginx by their names."""

    logs = ()

    def __init__(self, folder):
        self.program = folder / "nginx"
        self.program.symlink_to(sys.executable)

    def start(self):
        process = subprocess.Popen([self.program, "-c", WORKER], start_new_session=True, stdout=subprocess.PIPE)
        for _ in range(2):
            process.stdout.readline()
        return process


@pytest.fixture
def kept(tmp_path):
    found = keeper.Keeper(StandIn(tmp_path))
    yield found
    found.end()


def kill(group):
    """End a master alone; its worker."""
    (worker,) = set(list_members(group)) - {group}
    os.kill(group, signal.SIGKILL)
    wait_until(lambda: group not in list_members(group), 60, "it has ended")
    return worker


def kill_master(folder):
    """End the master of an nginx alone."""
    master = read_master(folder)
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: master not in list_members(master), 60, "it has ended")


def test_the_worker_that_a_killed_master_left_is_ended_and_another_master_runs(kept, monkeypatch):
    monkeypatch.setattr(keeper, "FIRST_S", 0)
    first = kept._process.pid
    worker = kill(first)
    birth = read_birth(worker)
    assert kept.tend(keeper.time.monotonic())
    wait_until(lambda: not lives(worker, birth), 60, "it was told to end")
    assert kept._process.pid != first
    assert kept._process.poll() is None


def test_who_got_the_number_of_a_killed_master_since_is_sent_nothing(kept, monkeypatch, tmp_path):
    """Another gateway's nginx, say, to which the number of the group went."""
    monkeypatch.setattr(keeper, "FIRST_S", 0)
    first = kept._process.pid
    kill(first)
    assert kept.tend(keeper.time.monotonic())
    with subprocess.Popen([kept._nginx.program, "-c", "import signal; signal.pause()"], process_group=0) as stranger:
        real, sent = keeper.list_members, []
        monkeypatch.setattr(keeper, "list_members", lambda group: [stranger.pid] if group == first else real(group))
        monkeypatch.setattr(os, "killpg", lambda *found: sent.append(found))
        kept.end()
        alive = stranger.poll() is None
        stranger.kill()
    assert (alive, sent) == (True, [])


def test_workers_whose_master_and_supervisor_were_both_killed_do_not_hold_the_address(tmp_path):
    """A gateway that was started again found it in use, for ever."""
    skip_without_nginx()
    folder = tmp_path / "gateway"
    folder.mkdir()
    with run_nginx(folder, 9, KEYS) as nginx:
        place = nginx.listen.split(":")
        kill_master(folder)
        assert not keeper.end_left(tmp_path / "other")
        assert answers(*place), "they outlive it"
        assert keeper.end_left(tmp_path)
        wait_until(lambda: not answers(*place), 60, "they leave it")
        wait_until(lambda: not keeper.end_left(tmp_path), 60, "they end")


def test_those_of_a_master_that_runs_are_left_to_it(tmp_path):
    skip_without_nginx()
    folder = tmp_path / "gateway"
    folder.mkdir()
    with run_nginx(folder, 9, KEYS) as nginx:
        assert not keeper.end_left(tmp_path)
        assert answers(*nginx.listen.split(":"))


@pytest.mark.ops
def test_a_gateway_comes_back_and_ends_where_nobody_saw_its_master_killed(tmp_path):
    skip_without_nginx()
    folder = tmp_path / "gateway"
    folder.mkdir(mode=0o700)
    with run_stand_in(tmp_path) as server, run_nginx(folder, 9, KEYS) as nginx:
        server.keys.write_text('{"inference": {"key": "of the hour"}}')
        kill_master(folder)
        place = ("--run", tmp_path, "--clients", folder / "clients.map", "--listen", nginx.listen)
        started = run_script("gateway", *place, "--patience", "inf")
        assert started.returncode == 0, started.stderr
        assert drain(tmp_path, 60), "also at once: nginx loses a signal that comes before it looks for any"
