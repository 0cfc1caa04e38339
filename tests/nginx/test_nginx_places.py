"""As many requests of all clients are let in as TorchServe can hold; one more is refused at once."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from tests.nginx.callers import KEYS, uploading
from tests.support.calls import wait_until
from tests.support.gateways import assert_refusal, run_nginx, skip_without_nginx

pytestmark = pytest.mark.ops
PLACES = 6


@pytest.fixture
def ask(holding, tmp_path, monkeypatch):
    """Asks as a client through a gateway that has PLACES places; `ask.nginx` is that gateway."""
    skip_without_nginx()
    monkeypatch.setattr("lungct_tools.proxy.nginx.PLACES", PLACES)
    folder = tmp_path / "gateway"
    folder.mkdir()
    with run_nginx(folder, holding.server_port, KEYS) as nginx:

        def send(name, caller=requests):
            url, bearer = f"https://{nginx.listen}/predictions/lung_ct", {"Authorization": f"Bearer {KEYS[name]}"}
            return caller.post(url, b"slice", headers=bearer, verify=str(nginx.certificate), timeout=60)

        send.nginx = nginx
        yield send


def test_no_more_are_let_in_than_torchserve_can_hold_and_all_of_those_are_answered(ask, holding):
    with ThreadPoolExecutor(PLACES) as pool:
        inside = [pool.submit(ask, ("alice", "bob")[i % 2]) for i in range(PLACES)]
        wait_until(lambda: len(holding.held) == PLACES, 60, "every place is taken")
        began = time.monotonic()
        refused = ask("carol")
        assert time.monotonic() - began < 2
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
        assert_refusal(refused, "unavailable")
        assert len(holding.held) == PLACES, "the server heard nothing of it"
        holding.release.set()
        assert {each.result().status_code for each in inside} == {200}
    assert ask("carol").status_code == 200, "there is room again"


def test_uploads_that_stall_take_no_place(ask, holding):
    holding.release.set()
    with ExitStack() as stack:
        for i in range(4 * PLACES):
            stack.enter_context(uploading(ask.nginx, "Content-Length: 9", b"half", key=KEYS[("alice", "bob")[i % 2]]))
        assert [ask("carol").status_code for _ in range(PLACES)] == [200] * PLACES


def test_refusals_of_a_client_that_does_not_wait_leave_at_a_pace_and_others_are_told_at_once(ask, holding):
    """Fifty a second after the first twenty, so the last of 128 comes after two, and who stood in line with bob's 64 at
    once would be told after one."""
    refusals = []

    def insist():
        """Again and again on one connection: a handshake for each would slow bob down as well."""
        with requests.Session() as session:
            for _ in range(2):
                refusals.append(ask("bob", session).status_code)

    with ThreadPoolExecutor(PLACES) as pool, ThreadPoolExecutor(64) as greedy:
        inside = [pool.submit(ask, "alice") for _ in range(PLACES)]
        wait_until(lambda: len(holding.held) == PLACES, 60, "every place is taken")
        began = time.monotonic()
        insisting = [greedy.submit(insist) for _ in range(64)]
        wait_until(lambda: len(refusals) > 30, 60, "bob is slowed down")
        told = [ask("carol") for _ in range(2)]
        assert {each.status_code for each in told} == {503}
        assert min(each.elapsed.total_seconds() for each in told) < 0.5, "the shorter one: others have the machine, too"
        for each in insisting:
            each.result()
        assert set(refusals) == {503}
        assert time.monotonic() - began > 0.9
        holding.release.set()
        assert {each.result().status_code for each in inside} == {200}


def test_nginx_starts_again_where_a_killed_one_left_its_socket(holding, tmp_path):
    skip_without_nginx()
    holding.release.set()
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "pace.sock"))
    with run_nginx(tmp_path, holding.server_port, KEYS) as nginx:
        url, bearer = f"https://{nginx.listen}/predictions/lung_ct", {"Authorization": f"Bearer {KEYS['alice']}"}
        assert requests.post(url, b"slice", headers=bearer, verify=nginx.certificate, timeout=60).status_code == 200
