"""A deputy whose update was killed: it answers until the server does, then it is ended."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from lungct_tools.proxy import turning
from lungct_tools.server.deputy import RUN, Deputy, find_deputy, note
from tests.support.standins import run_stand_in

pytestmark = pytest.mark.ops


@pytest.fixture
def left(tmp_path):
    """A server and its deputy, which an update has left that is no more."""
    note(tmp_path, asked=True)
    (tmp_path / RUN).mkdir(mode=0o700)
    with run_stand_in(tmp_path) as server, run_stand_in(tmp_path / RUN) as deputy:
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        Deputy(True, gone.pid, "another boot").write(tmp_path)
        yield server, deputy


def test_it_answers_until_the_server_is_ready_and_ends_when_nginx_asks_it_no_more(left, monkeypatch):
    server, deputy = left
    asked = {deputy.run}
    monkeypatch.setattr(turning, "list_asked", lambda _: asked)
    turning.relieve(server, ready=False)
    assert find_deputy(server.run).asked
    turning.relieve(server, ready=True)
    assert not find_deputy(server.run).asked
    for places in ({server.run, deputy.run}, set()):  # a worker is not done with it; nginx is about to start again
        asked = places
        turning.relieve(server, ready=True)
        assert deputy.running
    asked = {server.run}
    turning.relieve(server, ready=True)
    assert not deputy.running
    assert find_deputy(server.run) is None
    assert server.running


def test_that_of_an_update_which_is_under_way_is_left_to_it(left):
    server, deputy = left
    note(server.run, asked=True)
    turning.relieve(server, ready=True)
    assert find_deputy(server.run).asked
    assert deputy.running


def test_a_deputy_that_cannot_be_dismissed_or_looked_for_yet_is_there_at_the_next_look(left, monkeypatch):
    server, deputy = left

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(turning, "dismiss", refuse)
        turning.relieve(server, ready=True)
    turning.relieve(server, ready=True)
    with monkeypatch.context() as patched:
        patched.setattr(turning, "list_asked", refuse)
        turning.relieve(server, ready=True)
    assert deputy.running
    assert not find_deputy(server.run).asked


def test_a_worker_that_has_ended_asks_nobody_and_one_that_is_hidden_is_told_of(tmp_path, monkeypatch):
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "nginx.pid").write_text("1")
    monkeypatch.setattr(turning, "list_members", lambda _: [1, 2])
    monkeypatch.setattr(turning, "is_nginx", lambda _: True)
    for error in (FileNotFoundError, ProcessLookupError):
        monkeypatch.setattr(turning.Path, "readlink", raising(error))
        assert turning.list_asked(tmp_path) == set()
    monkeypatch.setattr(turning.Path, "readlink", raising(PermissionError))
    with pytest.raises(turning.HiddenError, match="ip_unprivileged_port_start"):
        turning.list_asked(tmp_path)


def raising(error):
    def raise_it(_):
        raise error

    return raise_it


def test_the_group_of_a_killed_nginx_that_went_to_others_asks_nobody(tmp_path):
    """After a reboot above all: nginx.pid stays, and an update took a stranger's folder for that of a server."""
    (tmp_path / "gateway").mkdir()
    command = [sys.executable, "-c", "import os, signal; os.fork(); print(flush=True); signal.pause()"]
    with subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, cwd="/") as stranger:
        for _ in range(2):
            stranger.stdout.readline()
        (tmp_path / "gateway" / "nginx.pid").write_text(str(stranger.pid))
        asked = turning.list_asked(tmp_path)
        os.killpg(stranger.pid, signal.SIGKILL)
    assert asked == set()
