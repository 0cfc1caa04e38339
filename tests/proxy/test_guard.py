"""What keeps the guard of a gateway from its work, and must not."""

import subprocess
import sys

import pytest

from lungct_tools.proxy import guard


@pytest.mark.parametrize("order", ["", "[]", '{"words": ["--listen"], "folder": "/nonexistent"}'])
def test_a_guard_that_cannot_start_the_supervisor_says_so_and_stays(tmp_path, capfd, order):
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "order.json").write_text(order)
    assert guard.try_again(tmp_path) is None
    assert "`make stop`, then `make gateway`" in capfd.readouterr().out


def test_a_guard_that_ends_at_once_is_not_started_at_every_look(tmp_path, monkeypatch):
    """It cannot be recorded on a full disk, and each start takes a core for a moment."""
    started, now = [], 1000.0

    def start(run):
        started.append(subprocess.Popen([sys.executable, "-c", ""]))
        started[-1].wait()
        return started[-1]

    monkeypatch.setattr(guard, "start_guard", start)
    monkeypatch.setattr(guard.time, "monotonic", lambda: now)
    watch = guard.Watch(tmp_path)
    for _ in range(20):
        watch.tend()
    assert len(started) == 1
    now += 1
    watch.tend()
    assert len(started) == 2
