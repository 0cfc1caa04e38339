"""What the gateway allows one client, and how it begins and ends."""

import json
import os
import re
import signal
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from lungct_client import RefusedError
from lungct_tools import ROOT
from lungct_tools.proxy.record import find
from lungct_tools.server.instance import Instance
from tests.conftest import run_script
from tests.support.calls import read_answer, wait_until
from tests.support.gateways import assert_refusal, open_gateway

pytestmark = [pytest.mark.server, pytest.mark.ops]

RATE = 5
ROUTE = "/predictions/lung_ct"


@pytest.fixture(scope="module")
def door(server):
    with open_gateway(server, ("alice", "bob"), "--rate", RATE, "--notice", 10) as opened:
        wait_until(lambda: opened.ask("GET", "/readyz").status_code == 200, 120, "ready")
        yield opened


@pytest.mark.parametrize("chunked", [False, True])
def test_a_request_over_the_limit_is_refused_in_our_words(door, chunked):
    large = bytes(34 * 2**20)
    body = (large[i : i + 2**20] for i in range(0, len(large), 2**20)) if chunked else large
    with socket.create_connection(("127.0.0.1", door.port), timeout=30) as plain:
        context = ssl.create_default_context(cafile=str(door.ca))
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(large)}"
            head = f"POST {ROUTE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {door.keys['alice']}\r\n{length}\r\n\r\n"
            secure.sendall(head.encode())
            if chunked:
                for part in body:
                    try:
                        secure.sendall(b"%x\r\n%s\r\n" % (len(part), part))
                    except OSError:  # it answered and closed
                        break
            status, answer = read_answer(secure)
    told = json.loads(answer)
    assert (status, told["error"], told["research_use_only"]) == (413, "too_many_bytes", True)


def test_headers_that_are_too_long_for_torchserve_alone_are_refused_in_our_words(door, slices):
    long = dict.fromkeys(("Accept", "X-Window", "Content-Type"), "a" * 5000)
    answer = door.ask("POST", ROUTE, door.keys["alice"], data=slices[0], headers=long)
    assert answer.status_code == 400
    assert_refusal(answer, "bad_request")


def test_a_server_that_is_stopped_not_dead_is_told_to_be_not_ready_within_seconds(door, server):
    os.kill(server.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: door.ask("GET", "/readyz").status_code == 503, 20, "not ready")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    wait_until(lambda: door.ask("GET", "/readyz").status_code == 200, 60, "ready again")


def test_the_handlers_own_limit_comes_through_as_it_is(door):
    answer = door.ask("POST", ROUTE, door.keys["alice"], data=bytes(32 * 2**20 + 1))
    assert answer.status_code == 413
    assert_refusal(answer, "too_many_bytes")


def test_one_client_that_sends_too_fast_is_slowed_and_no_other(door, slices):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: door.ask("POST", ROUTE, door.keys["bob"], data=b"x"), range(6 * RATE)))
        other = door.ask("POST", ROUTE, door.keys["alice"], data=slices[0])
    limited = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {415, 429}
    assert len(answers) - len(limited) >= RATE  # the burst came through
    for answer in limited:
        assert_refusal(answer, "too_many_requests")
        assert answer.headers["Retry-After"] == "1"
    assert other.status_code == 200


def test_the_client_waits_out_the_limit(door, slices):
    client = door.client("bob")
    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(lambda _: pytest.raises(RefusedError, client.predict, b"x").value.code, range(3 * RATE)))
    assert set(codes) == {"unsupported_format"}


def test_its_timeouts_are_above_the_servers():
    text = (ROOT / "config" / "nginx" / "nginx.conf").read_text()
    seconds = {name: int(value) for name, value in re.findall(r"^ {,4}([a-z_]+) (\d+)s;", text, re.MULTILINE)}
    model = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    assert seconds["proxy_read_timeout"] > model["responseTimeout"]
    assert seconds["worker_shutdown_timeout"] > seconds["proxy_read_timeout"]
    limit = int(re.search(r"client_max_body_size (\d+)m", text)[1]) * 2**20
    assert f"max_request_size={limit}" in (ROOT / "config" / "config.properties").read_text()


def test_the_gateway_does_not_start_before_a_server_or_on_half_a_certificate(tmp_path):
    nowhere = run_script("gateway", "--run", tmp_path, "--clients", tmp_path / "c")
    assert (nowhere.returncode, "make serve" in nowhere.stderr) == (2, True)
    half = run_script("gateway", "--run", tmp_path, "--certificate", "x.pem")
    assert half.returncode == 2


def test_a_drain_says_not_ready_first_still_answers_and_leaves_the_server_alone(door, server, slices):
    os.kill(find(door.run).pid, signal.SIGTERM)
    wait_until(lambda: door.ask("GET", "/readyz").status_code == 503, 60, "not ready")
    assert door.ask("GET", "/healthz").status_code == 200
    assert door.client().predict(slices[0])["label"]
    wait_until(lambda: not find(door.run), 60, "it ends")
    assert Instance.read(server.run).running
