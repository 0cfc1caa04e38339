"""A shadow behind a gateway: callers get the old model's answers, and the new one's to copies of them are counted."""

import math
import os
import signal
import time
from statistics import fmean

import pytest

from lungct_client import Client
from lungct_tools.bench.estimate import estimate_ratio
from lungct_tools.server.deputy import FOLDER, RUN
from lungct_tools.server.instance import Instance
from tests.conftest import run_script
from tests.faults.site import BACK_S
from tests.faults.table import format_row
from tests.faults.trials import build_other, is_in_share, measure_peak, read_metrics, update
from tests.support.calls import wait_until
from tests.support.gateways import read_counts
from tests.support.traffic import Steady

pytestmark = [pytest.mark.server, pytest.mark.ops, pytest.mark.timeout(600)]  # the site's start included

OTHER, PERCENT = "9.10", 50
BLOCKS, BLOCK_S = int(os.environ.get("LUNG_CT_SHADOW_BLOCKS", "3")), 3
SHARE = 0.4  # of the peak
IDS = [f"request-number-{number:06}" for number in range(16)]


@pytest.fixture(scope="module")
def begun(site, tmp_path_factory):
    """A shadow that is under way, of a model like the one that serves."""
    wait_until(site.is_ready, BACK_S, "ready")
    archive = build_other(site, tmp_path_factory.mktemp("new"), OTHER)
    done = update(site, archive, "--shadow", f"{PERCENT}%")
    assert done.returncode == 0, done.stderr
    assert f"gets copies of {PERCENT} % of the requests" in done.stdout
    return archive


def test_a_share_of_the_requests_is_compared_and_callers_get_the_old_answers(site, begun, slices):
    served = Client(site.instance).contract()["version"]
    for name, slice_ in zip(IDS, slices * len(IDS), strict=False):
        headers = {"X-Request-Id": name}
        answer = site.door.ask("POST", "/predictions/lung_ct", site.door.keys["raw"], data=slice_, headers=headers)
        assert (answer.status_code, answer.json()["model"]["version"]) == (200, served)
        assert not {"X-Answered-By", "X-Score"} & set(answer.headers)

    def compares():
        copies = read_counts(site.run)["shadow"]["copies"]
        return copies["compared"] and sum(copies.values()) > 2

    wait_until(compares, BACK_S, "copies are compared")
    metrics = read_metrics(site)
    assert metrics["lung_ct_shadow_share",] == PERCENT / 100
    compared = metrics["lung_ct_shadow_copies_total", "compared"]
    assert 0 < compared < len(IDS)
    for kind in ("labels", "decisions"):
        pairs = {names[1:]: value for names, value in metrics.items() if names[0] == f"lung_ct_shadow_{kind}_total"}
        assert all(old == new for old, new in pairs), "it is the same model"
        assert sum(pairs.values()) >= compared
    assert metrics["lung_ct_shadow_confidence_difference_sum",] == pytest.approx(0, abs=1e-6)


def test_status_tells_of_it_and_another_update_is_refused(site, begun):
    told = run_script("status", "--run", site.run)
    assert told.returncode == 0
    assert f"shadow: {PERCENT} % of the gateway's requests are copied for model {OTHER}; " in told.stdout
    assert "same label 100.0%, same decision 100.0%" in told.stdout
    refused = update(site, begun, "--canary", "20%")
    assert refused.returncode == 1
    assert "a shadow is under way; `lungct update --promote` or `--back` comes first" in refused.stderr


def test_a_shadow_whose_server_dies_loses_no_request_and_can_be_taken_back(site, begun, load):
    with load(f"the server of a shadow of {PERCENT} % killed") as raw:
        os.killpg(Instance.read(site.run / RUN).pid, signal.SIGKILL)
    assert not raw.failures()
    assert "shadow: its server has ended" in run_script("status", "--run", site.run).stdout
    ended = update(site, "--back")
    assert (ended.returncode, "the archive of before serves all requests" in ended.stdout) == (0, True), ended.stderr
    assert not (site.run / FOLDER).exists()
    assert read_metrics(site)["lung_ct_shadow_share",] == 0


class Named:
    """A client whose requests have these ids, one after the other."""

    def __init__(self, client, ids):
        self._client, self._ids = client, iter(ids)  # of a list: callers share it

    def predict(self, body):
        return self._client.predict(body, request_id=next(self._ids))


@pytest.fixture(scope="module")
def peak(site, slices):
    return measure_peak(site, slices)


@pytest.fixture(scope="module")
def tenth(site, peak, tmp_path_factory):
    """A shadow of a tenth, once the peak is known."""
    archive = build_other(site, tmp_path_factory.mktemp("tenth"), OTHER)
    done = update(site, archive, "--shadow")
    assert done.returncode == 0, done.stderr
    return archive


def test_callers_wait_no_longer_for_the_old_model_while_a_shadow_gets_a_tenth_of_their_requests(
    site, tenth, peak, slices, rows
):
    """In blocks that alternate, none or every tenth of the requests is copied; LUNG_CT_SHADOW_BLOCKS of each.

    So few as CI has time for tell a shadow that slows callers by half from one that does not; more tell 5 %.
    """
    client = site.door.client("raw", deadline_s=0, timeout_s=90)
    names = [f"a-request-of-number-{number:07}" for number in range(2000 * BLOCKS)]
    copied, others = ([name for name in names if is_in_share(name, 10) is chosen] for chosen in (True, False))
    half = len(names) // 20
    mixed = [name for at, name in enumerate(copied[:half]) for name in (name, *others[9 * at : 9 * at + 9])]
    callers = {"none": Named(client, others[9 * half :]), "a tenth": Named(client, mixed)}
    calls = {"none": [], "a tenth": []}
    for _ in range(BLOCKS):
        for share, caller in callers.items():
            with Steady(caller, slices, SHARE * peak, callers=4) as traffic:
                until = time.monotonic() + BLOCK_S
                wait_until(lambda: time.monotonic() > until and traffic.answered > 10, BACK_S, "a block is over")  # noqa: B023
            assert not traffic.failures()
            calls[share].append(traffic.calls)
    expected = math.ceil(sum(map(len, calls["a tenth"])) / 10)
    wait_until(lambda: sum(read_counts(site.run)["shadow"]["copies"].values()) == expected, BACK_S, "all are counted")
    waits = {share: [fmean(c.ended - c.started for c in block) for block in blocks] for share, blocks in calls.items()}
    slower = estimate_ratio(waits["a tenth"], waits["none"])
    sees = f"nothing; at {SHARE} of the peak answers take {slower.show(2)} of what they take without copies"
    rows.append(format_row("a shadow of 10 %", sees, 0))
    assert slower.mean < 1.5


def test_a_shadow_that_is_promoted_loses_no_request(site, tenth, load):
    with load("a shadow of 10 % promoted") as raw:
        promoted = update(site, "--promote")
        assert promoted.returncode == 0, promoted.stderr
    assert not raw.failures()
    assert not (site.run / FOLDER).exists()
    assert Client(site.instance).contract()["version"] == OTHER
    assert (site.store / "lung_ct.mar").read_bytes() == tenth.read_bytes()
    assert read_metrics(site)["lung_ct_shadow_share",] == 0
