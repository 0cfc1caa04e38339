"""serve --foreground, as a container or a supervisor runs it."""

import signal
import subprocess

import psutil
import pytest

from lungct_tools import ROOT
from lungct_tools.commandline import compose
from lungct_tools.server.health import check_ready
from lungct_tools.server.instance import FRONTS, Instance, find_ports
from lungct_tools.server.serve import find_busy
from tests.support.calls import wait_until
from tests.support.units import is_alive

pytestmark = pytest.mark.server


@pytest.mark.parametrize("front", FRONTS)
def test_ctrl_c_leaves_no_process_and_no_busy_port(store, tmp_path, front):  # SIGTERM: see test_units.py
    """`torchserve --foreground` alone ends its launcher only: Java and the workers go on and keep the ports."""
    ports = find_ports(5)
    command = compose("serve", "--foreground", "--run", tmp_path, "--store", store, "--front", front, "--ports", *ports)
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT)
    try:
        instance = tmp_path / "instance.json"
        wait_until(lambda: instance.exists() and check_ready(Instance.read(tmp_path)) is None, 180, "ready")
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 3  # Java or the front, a worker, its nursery
        process.send_signal(signal.SIGINT)
        process.wait(120)
        wait_until(lambda: not any(map(is_alive, family)), 60, "all have ended")
        assert find_busy(tuple(ports)) == []
    finally:
        process.kill()
        process.wait(10)
