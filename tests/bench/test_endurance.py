"""What the benchmark says of a worker's memory."""

import os
import subprocess
import sys

import psutil
import pytest

from lungct_tools.bench import endurance
from lungct_tools.bench.endurance import measure_memory


def test_a_child_that_ends_while_it_is_looked_at_ends_no_benchmark(monkeypatch):
    """A worker's readers come and go with what they decode."""
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as reader:
        known = psutil.Process(reader.pid)
        reader.kill()
    monkeypatch.setattr(endurance, "find_workers", lambda _: [os.getpid()])
    monkeypatch.setattr(psutil.Process, "children", lambda *_, **__: [known])
    assert measure_memory(None) > 10


@pytest.mark.server
def test_the_memory_is_that_of_the_worker_and_its_children_without_torch(server):
    assert 150 < measure_memory(server) < 700
