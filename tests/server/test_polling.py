"""Polling looks at once, at the end, and no longer."""

from dataclasses import dataclass

import pytest

from lungct_tools.server import polling
from lungct_tools.server.polling import poll


@dataclass
class Clock:
    """The time module of a machine on which nothing takes time but sleep."""

    now: float

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.mark.parametrize("seconds", [-1, 0])
def test_without_time_it_looks_once(seconds):
    assert len(list(poll(seconds, 60))) == 1


def test_it_looks_at_once_and_a_last_time_after_the_deadline(monkeypatch):
    clock = Clock(0)
    monkeypatch.setattr(polling, "time", clock)
    assert [clock.now for _ in poll(10, 4)] == [0, 4, 8, 12]
