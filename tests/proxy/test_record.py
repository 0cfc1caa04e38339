"""How a gateway is found and drained: its notice counts, and one that does not end is not passed over."""

import os
import subprocess
import sys
from contextlib import contextmanager

from lungct_tools.operate import stop
from lungct_tools.proxy.record import Record, drain, find
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


def test_a_gateway_that_does_not_end_keeps_its_server_and_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stop, "FINISH_S", 0.2)
    monkeypatch.setattr(sys, "argv", ["stop", "--run", str(tmp_path)])
    with gateway(tmp_path, "signal.SIG_IGN") as process:
        assert stop.main() == 1
        assert process.poll() is None
    assert "does not end" in capsys.readouterr().err
    wait_until(lambda: stop.main() == 0, 10, "nothing runs any more")
