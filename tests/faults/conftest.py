"""What all fault tests share: one site to break, callers around it, and the table of what they saw.

Two kinds of callers run at once: `alice` uses our client with its retries, `raw` gives up at the first trouble. What
raw callers see is the gateway's own merit; alice must lose nothing.
"""

import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.readiness import Readiness
from tests.faults.site import BACK_S, open_site
from tests.faults.table import count, format_row, write_table
from tests.support.calls import wait_until
from tests.support.traffic import Traffic


@pytest.fixture(scope="package")
def site(tmp_path_factory):
    with open_site(tmp_path_factory.mktemp("site")) as opened:
        yield opened


@pytest.fixture(scope="package")
def rows(request):
    """Rows of the table; written into the file that --faults names."""
    measured = []
    yield measured
    if file := request.config.getoption("--faults"):
        write_table(Path(file), measured)


@pytest.fixture
def load(site, slices, rows):
    """Patient and impatient callers around a fault; asserts what every fault must leave whole, and adds the row."""

    @contextmanager
    def run(fault, rest_s=0):
        wait_until(site.is_ready, BACK_S, "ready before the fault")
        patient = Traffic(site.door.client("alice", deadline_s=180, timeout_s=90), slices, 3, rest_s=rest_s)
        raw = Traffic(site.door.client("raw", deadline_s=0, timeout_s=90), slices, 3, rest_s=rest_s)
        with patient, raw, Readiness(site.is_ready) as readiness:
            wait_until(lambda: min(patient.answered, raw.answered) > 5, BACK_S, "traffic flows")
            broken = time.monotonic()
            yield raw
            wait_until(site.is_ready, BACK_S, "ready after the fault")
            after = raw.answered
            wait_until(lambda: raw.answered > after + 5, BACK_S, "traffic flows again")
            wait_until(lambda: any(ready for _, ready in readiness.checks[-1:]), BACK_S, "all workers ready")
        lost, gap, back = sum(patient.failures().values()), raw.longest_gap(broken), readiness.count_recovery(broken)
        rows.append(format_row(fault, count(raw.failures()), lost, gap, back))
        assert not patient.failures(), fault

    return run
