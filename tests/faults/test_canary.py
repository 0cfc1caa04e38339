"""A canary behind a gateway: a share of the requests meets the new model, and none is lost when its server dies."""

import os
import signal

import pytest

from lungct_client import Client
from lungct_tools.proxy.record import find
from lungct_tools.server.deputy import FOLDER, RUN
from lungct_tools.server.instance import Instance
from tests.conftest import run_script
from tests.faults.site import BACK_S, kill
from tests.faults.trials import build_other, read_metrics, update
from tests.support.calls import wait_until

pytestmark = [pytest.mark.server, pytest.mark.ops, pytest.mark.timeout(600)]  # the site's start included

IDS = [f"request-number-{number:06}" for number in range(40)]
PERCENT = 40


def ask_all(site, slices, only=IDS):
    """Id -> who answered it by header, and the version in its reply."""
    answers = {}
    for name in only:
        headers = {"X-Request-Id": name}
        answer = site.door.ask("POST", "/predictions/lung_ct", site.door.keys["raw"], data=slices[0], headers=headers)
        assert answer.status_code == 200, answer.text
        answers[name] = answer.headers.get("X-Answered-By"), answer.json()["model"]["version"]
    return answers


@pytest.fixture(scope="module")
def versions(site):
    """The model that serves, and the one that is tried."""
    return Client(site.instance).contract()["version"], "9.9"


@pytest.fixture(scope="module")
def begun(site, versions, tmp_path_factory):
    """A canary that is under way."""
    wait_until(site.is_ready, BACK_S, "ready")
    archive = build_other(site, tmp_path_factory.mktemp("new"), versions[1])
    done = update(site, archive, "--canary", f"{PERCENT}%")
    assert done.returncode == 0, done.stderr
    assert f"has {PERCENT} % of the requests" in done.stdout
    return archive


@pytest.fixture(scope="module")
def answers(site, begun, slices):
    return ask_all(site, slices)


def test_a_share_of_the_requests_meets_the_new_model_by_their_ids(site, answers, slices, versions):
    assert set(answers.values()) == {("serving", versions[0]), ("candidate", versions[1])}
    assert ask_all(site, slices) == answers, "a retry stays on its model"


def test_status_and_metrics_tell_of_it_and_another_update_is_refused(site, begun, answers, versions):
    told = run_script("status", "--run", site.run)
    assert told.returncode == 0
    assert f"canary: {PERCENT} % of the gateway's requests go to model {versions[1]}" in told.stdout
    metrics = read_metrics(site)
    assert metrics["lung_ct_candidate_share",] == PERCENT / 100
    asked = [who for who, _ in answers.values()].count("candidate")
    assert metrics["lung_ct_candidate_answers_total", "candidate", "candidate"] >= asked
    for words in ((begun,), (begun, "--canary", "20%")):
        refused = update(site, *words)
        assert refused.returncode == 1
        assert "a canary is under way; `lungct update --promote` or `--back` comes first" in refused.stderr


def test_a_supervisor_that_is_killed_changes_nothing(site, answers, slices):
    killed = find(site.run)
    kill(killed.pid)
    wait_until(lambda: find(site.run) not in (None, killed) and site.is_ready(), BACK_S, "another one")
    assert ask_all(site, slices) == answers
    assert read_metrics(site)["lung_ct_candidate_share",] == PERCENT / 100


def test_a_canary_whose_server_dies_loses_no_request_and_can_be_taken_back(site, answers, load, slices, versions):
    with load("the server of a canary of 40 % killed") as raw:
        os.killpg(Instance.read(site.run / RUN).pid, signal.SIGKILL)
    assert not raw.failures()
    assert site.door.ask("GET", "/readyz").status_code == 200
    only = IDS[:1]
    wait_until(lambda: ask_all(site, slices, only)[only[0]][0] is None, BACK_S, "the supervisor has seen it")
    assert set(ask_all(site, slices).values()) == {(None, versions[0])}
    assert "its server has ended" in run_script("status", "--run", site.run).stdout
    refused = update(site, "--promote")
    assert (refused.returncode, "`lungct update --back` ends it" in refused.stderr) == (1, True)
    ended = update(site, "--back")
    assert (ended.returncode, "the archive of before serves all requests" in ended.stdout) == (0, True), ended.stderr
    assert not (site.run / FOLDER).exists()


def test_a_canary_that_is_promoted_loses_no_request(site, begun, load, slices, versions):
    again = update(site, begun, "--canary", f"{PERCENT}%")
    assert again.returncode == 0, again.stderr
    with load("a canary of 40 % promoted") as raw:
        promoted = update(site, "--promote")
        assert promoted.returncode == 0, promoted.stderr
    assert not raw.failures()
    assert not (site.run / FOLDER).exists()
    assert {version for _, version in ask_all(site, slices, IDS[:4]).values()} == {versions[1]}
    assert (site.store / "lung_ct.mar").read_bytes() == begun.read_bytes()
    assert read_metrics(site)["lung_ct_candidate_share",] == 0
