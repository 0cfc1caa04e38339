"""Polling looks at once, at the end, and no longer."""

import time

import pytest

from lungct_tools.server.polling import poll


@pytest.mark.parametrize("seconds", [-1, 0])
def test_without_time_it_looks_once(seconds):
    assert len(list(poll(seconds, 60))) == 1


def test_it_looks_at_once_and_a_last_time_after_the_deadline():
    started = time.monotonic()
    times = [time.monotonic() - started for _ in poll(0.1, 0.03)]
    assert times[0] < 0.03
    assert times[-1] >= 0.1
    assert len(times) <= 5
