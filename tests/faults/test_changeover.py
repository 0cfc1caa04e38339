"""An update behind a gateway: a deputy answers while the server starts again, and nobody is refused."""

import os
import time
from contextlib import suppress

import pytest

from lungct_tools.server.deputy import FOLDER
from lungct_tools.server.processes import find_processes
from tests.conftest import run_script
from tests.faults.readiness import Readiness
from tests.faults.site import BACK_S, copy_archive
from tests.faults.table import count, format_row
from tests.faults.trials import CALLERS, measure_peak
from tests.support.calls import wait_until
from tests.support.traffic import Steady

pytestmark = [pytest.mark.server, pytest.mark.ops, pytest.mark.timeout(600)]  # the site's start included

SHARE = 0.4  # of the peak
GAP_S = 5  # without an answer; it is half a second, and a busy machine has gaps of a second or two without an update,
# but a server that nobody stands in for starts in eight at the least


@pytest.fixture
def steady(site, slices, rows):
    """Run an update under a steady load, and hold it against what it promises; adds the row."""

    def run(fault, *words):
        peak = measure_peak(site, slices)
        raw = Steady(site.door.client("raw", deadline_s=0, timeout_s=90), slices, SHARE * peak, CALLERS)
        with raw, Readiness(lambda: site.door.ask("GET", "/readyz").status_code == 200) as readiness:
            wait_until(lambda: raw.answered > CALLERS, BACK_S, "traffic flows")
            began, before = time.monotonic(), raw.answered
            updated = run_script("update", *words, "--run", site.run)
            rate = (raw.answered - before) / (time.monotonic() - began)
            wait_until(lambda: raw.answered > before + CALLERS, BACK_S, "traffic flows on")
        gap = raw.longest_gap(began)
        sees = f"{count(raw.failures())}; {rate:.0f} answers a second, {rate / peak:.1f} of the peak"
        rows.append(format_row(fault, sees, sum(raw.failures().values()), gap, readiness.count_recovery(began)))
        assert updated.returncode == 0, updated.stderr
        assert not raw.failures()
        assert readiness.count_recovery(began) is None
        assert gap < GAP_S

    return run


def read_niceness(group):
    """That of every thread of a server."""
    for folder in find_processes(group):
        with suppress(OSError):  # ended meanwhile
            for task in (folder / "task").iterdir():
                with suppress(ProcessLookupError):
                    yield os.getpriority(os.PRIO_PROCESS, int(task.name))


def test_an_update_behind_a_gateway_loses_no_request_and_going_back_neither(site, steady, tmp_path):
    """Ports, options, tokens' file: the server in its place is found where it was, whole, and alone."""
    before, served = site.instance, (site.store / "lung_ct.mar").read_bytes()
    version = site.describe()["modelVersion"]
    renamed = {"MAR-INF/MANIFEST.json": lambda text: text.replace(f'"{version}"'.encode(), b'"9.9"')}
    steady("update to another archive", copy_archive(site.store, tmp_path, renamed))
    assert site.describe()["modelVersion"] == "9.9"
    assert (site.store / "lung_ct.mar.previous").read_bytes() == served
    after = site.instance
    assert after.pid != before.pid
    assert (after.ports, after.options, after.keys) == (before.ports, before.options, before.keys)
    assert not (site.run / FOLDER).exists()
    assert set(read_niceness(after.pid)) == {os.getpriority(os.PRIO_PROCESS, 0)}
    steady("going back to the archive of before", "--back")
    assert site.describe()["modelVersion"] == version
    assert run_script("status", "--run", site.run).returncode == 0
