"""A deputy whose update was killed: it answers until the server does, then it is ended."""

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
