"""A shadow behind a gateway: callers get the old model's answers, and the new one's to copies of them are counted."""

import os
import signal

import pytest

from lungct_client import Client
from lungct_tools.server.deputy import FOLDER, RUN
from lungct_tools.server.instance import Instance
from tests.conftest import run_script
from tests.faults.site import BACK_S
from tests.faults.trials import build_other, read_metrics, update
from tests.support.calls import wait_until
from tests.support.gateways import read_counts

pytestmark = [pytest.mark.server, pytest.mark.ops, pytest.mark.timeout(600)]  # the site's start included

OTHER, PERCENT = "9.10", 50
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
