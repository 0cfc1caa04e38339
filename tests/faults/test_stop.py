"""Stopping under load. The last of these files by name, since the site is gone after it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.site import BACK_S
from tests.faults.table import format_row
from tests.support.calls import wait_until
from tests.support.gateways import stop_in_background
from tests.support.traffic import strict_call
from tests.support.units import is_alive

pytestmark = [pytest.mark.server, pytest.mark.ops, pytest.mark.timeout(600)]  # the site's start included


def test_stopping_under_load_finishes_every_request_that_was_accepted(site, slices, rows):
    wait_until(site.is_ready, BACK_S, "ready")
    left = site.processes().values()
    outcomes = []

    def call(number):
        while not outcomes.count("refused"):
            outcomes.append(strict_call(site.door, slices[number % 4]))

    with ThreadPoolExecutor(12) as pool:
        callers = [pool.submit(call, number) for number in range(12)]
        wait_until(lambda: len(outcomes) > 24, BACK_S, "traffic flows")
        stopping = stop_in_background(site.run)
        for caller in callers:
            caller.result()
    assert stopping.wait(BACK_S) == 0
    counted = Counter(outcomes)
    sees = f"{counted['cut']} of {counted['200']} accepted requests cut; then connections refused"
    rows.append(format_row("`make stop` under load", sees))
    assert set(counted) == {"200", "refused"}
    assert not [each for each in left if is_alive(each)]
