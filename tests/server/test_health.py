"""What readiness makes of a server that does not answer its canary in time."""

import os
import signal

import pytest

from lungct_client import ServerBusy, ServerSilent
from lungct_tools.server import health
from lungct_tools.server.health import check_ready, count_batches, score_canary
from lungct_tools.server.instance import Instance
from lungct_tools.server.processes import is_stopped
from tests.support.calls import wait_until
from tests.support.standins import run_stand_in

PAGE = """# HELP lung_ct_batches_total Torchserve prometheus counter metric with unit: Count
# TYPE lung_ct_batches_total counter
lung_ct_batches_total{{ModelName="lung_ct",Level="Model",Hostname="a",}} {count}
lung_ct_requests_total{{Label="Normal",Outcome="report",ModelName="lung_ct",Level="Model",Hostname="a",}} 900.0
"""


class Late:
    """In place of a client whose canary gets no answer; meanwhile `counts` batches are counted."""

    def __init__(self, *counts):
        self.pages = [PAGE.format(count=count) for count in counts]

    def describe(self):
        return {"minWorkers": 1, "workers": [{"status": "READY", "pid": os.getpid()}]}

    def metrics(self):
        return self.pages.pop(0)

    def predict(self, *_, **__):
        raise ServerSilent("No answer within 15 s.")


@pytest.fixture
def instance(tmp_path):
    (tmp_path / "canary.png").write_bytes(b"a slice")
    return Instance(tmp_path)


def check(client, instance, monkeypatch):
    monkeypatch.setattr(health, "Client", lambda *_, **__: client)
    return check_ready(instance)


def test_a_canary_that_waits_behind_batches_that_are_answered_is_no_reason_to_restart(instance, monkeypatch):
    assert check(Late(7.0, 8.0), instance, monkeypatch) is None
    with pytest.raises(ServerBusy):
        score_canary(Late(7.0, 8.0), instance)


def test_a_server_with_ready_workers_that_answers_nothing_is_not_ready(instance, monkeypatch):
    assert "15 s" in check(Late(7.0, 7.0), instance, monkeypatch)


def test_before_the_first_batch_none_is_counted():
    client = Late()
    client.pages = ["# nothing yet\n"]
    assert count_batches(client) == 0


def test_a_server_that_is_stopped_not_dead_is_told_without_waiting_for_its_answer(tmp_path):
    with run_stand_in(tmp_path) as instance:
        os.kill(instance.pid, signal.SIGSTOP)
        wait_until(lambda: is_stopped(instance.pid), 30, "it is stopped")
        assert check_ready(instance) == "the server is stopped, not dead"
