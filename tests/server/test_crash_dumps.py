"""What a crash leaves: no memory of the process, which holds slices and keys, and one report, not one for each."""

import os
import resource
import signal

import psutil
import pytest

from lungct_client import Client
from lungct_tools.server.instance import Instance, find_ports
from tests.conftest import run_script
from tests.support.calls import wait_until

LIMIT = resource.RLIMIT_CORE


@pytest.fixture
def dumping():
    """Where whoever starts the server has core dumps written, as a container's engine does that was told nothing."""
    before = resource.getrlimit(LIMIT)
    resource.setrlimit(LIMIT, (before[1], before[1]))  # as large as may be
    yield
    resource.setrlimit(LIMIT, before)


@pytest.mark.server
def test_crashes_leave_one_report_and_nothing_of_what_was_in_memory(dumping, store, tmp_path):
    start = ("serve", "--run", tmp_path, "--store", store, "--ports", *find_ports(5))
    try:
        for _ in range(2):
            started = run_script(*start)
            assert started.returncode == 0, started.stderr
            instance = Instance.read(tmp_path)
            worker = Client(instance).describe()["workers"][0]["pid"]
            assert [psutil.Process(pid).rlimit(LIMIT)[0] for pid in (worker, instance.pid)] == [0, 0]
            os.kill(instance.pid, signal.SIGSEGV)
            wait_until(lambda: not instance.running, 60, "it has crashed")  # noqa: B023 -- waited for here
    finally:
        assert run_script("stop", "--run", tmp_path).returncode == 0
    left = {path.name for path in tmp_path.iterdir()}
    assert "crash.log" in left
    assert not {name for name in left if name.startswith(("core", "hs_err"))}
    assert f"pid={instance.pid}," in (tmp_path / "crash.log").read_text()
