"""Who starts the server again when it has another archive."""

import subprocess
import sys

import pytest

from scripts import update
from scripts.instance import Instance
from scripts.proxy.record import Record

INF = float("inf")


@pytest.fixture
def server(tmp_path):
    """A process that passes for TorchServe."""
    command = [sys.executable, "-c", "import time; time.sleep(600)", "torchserve"]
    with subprocess.Popen(command, start_new_session=True) as process:
        instance = Instance(tmp_path, pid=process.pid, options=("--run", str(tmp_path)))
        instance.write()
        yield instance
        process.kill()


@pytest.mark.parametrize(
    ("gateway", "itself"),
    [
        (None, True),
        (Record(1, INF, 0), True),  # its watchdog is off
        (Record(1, 60, 0), False),
        (Record(1, INF, 0, supervised=True), False),
        (Record(1, 60, 0, supervised=True), False),
    ],
)
def test_an_update_starts_the_server_itself_where_nobody_else_would(server, monkeypatch, gateway, itself):
    served = []
    monkeypatch.setattr(update, "find", lambda _: gateway)
    monkeypatch.setattr(update, "serve", lambda *options: served.append(options) or True)
    reason = update.restart(server, deadline_s=0.3)
    assert not server.running
    assert (len(served), reason) == ((1, None) if itself else (0, "nobody started it"))
