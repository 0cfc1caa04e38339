"""What the gateway's supervisor ends: nginx and what a killed one left, and no process of somebody else."""

import os
import signal
import subprocess
import sys

import pytest

from lungct_tools.proxy import keeper
from lungct_tools.server.processes import list_members, lives, read_birth
from tests.support.calls import wait_until

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
    wait_until(lambda: group not in list_members(group), 5, "it has ended")
    return worker


def test_the_worker_that_a_killed_master_left_is_ended_and_another_master_runs(kept, monkeypatch):
    monkeypatch.setattr(keeper, "FIRST_S", 0)
    first = kept._process.pid
    worker = kill(first)
    birth = read_birth(worker)
    assert kept.tend(keeper.time.monotonic())
    wait_until(lambda: not lives(worker, birth), 5, "it was told to end")
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
