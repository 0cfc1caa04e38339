"""How a gateway is found and drained: its notice counts, and one that does not end is not passed over."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from lungct_tools.operate import stop
from lungct_tools.proxy import keeper
from lungct_tools.proxy.door import find_door
from lungct_tools.proxy.guard import ORDER, try_again
from lungct_tools.proxy.record import GUARD, RECORD, Record, drain, find, find_guard
from lungct_tools.proxy.turning import list_asked
from lungct_tools.server.deputy import FOLDER, find_deputy
from lungct_tools.server.deputy import RECORD as DEPUTY
from lungct_tools.server.processes import read_birth
from tests.support.calls import wait_until

IDLE = """import os, signal, threading
signal.signal(signal.SIGTERM, {handler})
print(flush=True)
while True: signal.pause()
"""


@contextmanager
def gateway(run, handler, notice_s=0.0):
    """A process that passes for a gateway of this run folder."""
    (run / "gateway").mkdir()
    command = [sys.executable, "-c", IDLE.format(handler=handler), "lungct", "gateway"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        Record(process.pid, read_birth(process.pid), 60, notice_s).write(run)
        try:
            yield process
        finally:
            process.kill()


def test_a_gateway_is_found_while_its_process_is_there(tmp_path):
    with gateway(tmp_path, "signal.SIG_IGN") as process:
        birth = read_birth(process.pid)
        assert find(tmp_path) == Record(process.pid, birth, 60, 0)
    assert find(tmp_path) is None
    Record(os.getpid(), birth, 60, 0).write(tmp_path)  # the number went to another program
    assert find(tmp_path) is None


def test_a_drain_may_take_its_notice_and_the_deadline_after_it(tmp_path):
    with gateway(tmp_path, "lambda *_: threading.Timer(1, os._exit, [0]).start()", notice_s=60):
        assert drain(tmp_path, 0.2)


def test_a_drain_is_over_when_the_supervisor_has_ended_not_when_it_has_taken_its_record_away(tmp_path):
    """Its sidecar answers until then: a scrape found the counts of a gateway that was said to be down."""
    leave = f"lambda *_: (os.unlink({str(tmp_path / RECORD)!r}), threading.Timer(0.5, os._exit, [0]).start())"
    with gateway(tmp_path, leave) as process:
        assert drain(tmp_path, 60)
        assert process.poll() == 0


def test_the_server_ends_after_the_nginx_that_still_finishes_requests(tmp_path, monkeypatch, capsys):
    """Of a gateway that was killed: its workers have requests in flight, which the server has to answer."""
    answers = iter([True, True, False])
    monkeypatch.setattr(stop, "end_left", lambda run: next(answers))
    monkeypatch.setattr(sys, "argv", ["stop", "--run", str(tmp_path)])
    assert stop.main() == 0
    assert next(answers, None) is None
    assert "no server runs" in capsys.readouterr().out


@pytest.mark.timeout(20)
@pytest.mark.parametrize("lay", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_link_in_the_place_of_a_record_holds_nobody_up(tmp_path, lay):
    for folder in (tmp_path / "gateway", tmp_path / FOLDER):
        folder.mkdir()
    for name in (RECORD, GUARD, ORDER, DEPUTY, "gateway/nginx.conf", "gateway/nginx.pid"):
        lay(tmp_path / name)
    assert (find(tmp_path), find_guard(tmp_path), find_door(tmp_path), find_deputy(tmp_path)) == (None,) * 4
    assert try_again(tmp_path) is None
    assert not keeper.end_left(tmp_path)
    assert list_asked(tmp_path) == set()


def test_a_gateway_that_does_not_end_keeps_its_server_and_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stop, "FINISH_S", 0.2)
    monkeypatch.setattr(sys, "argv", ["stop", "--run", str(tmp_path)])
    with gateway(tmp_path, "signal.SIG_IGN") as process:
        assert stop.main() == 1
        assert process.poll() is None
    assert "does not end" in capsys.readouterr().err
    wait_until(lambda: stop.main() == 0, 60, "nothing runs any more")
