"""The real nginx with its timeouts cut to a second: what callers get who are slow, or before a server that is."""

import json
import socket
import ssl

import pytest
import requests

from tests.nginx.conftest import retimed
from tests.support.calls import wait_until
from tests.support.gateways import assert_refusal, run_nginx, skip_without_nginx
from tests.support.logs import read_lines
from tests.support.traffic import is_ended

pytestmark = pytest.mark.ops
KEY = "ab" * 32
CUT = dict.fromkeys(("client_header_timeout", "client_body_timeout", "proxy_read_timeout"), 1)
HEAD = f"POST /predictions/lung_ct HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"


@pytest.fixture(scope="module")
def silent():
    """A server that takes every request and answers none."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield listening


@pytest.fixture(scope="module")
def hasty(silent, tmp_path_factory):
    skip_without_nginx()
    folder = tmp_path_factory.mktemp("nginx")
    with retimed(folder, **CUT), run_nginx(folder, silent.getsockname()[1], {"alice": KEY}) as running:
        yield running


def await_logged(running, status, upstream):
    """Wait for the last line of the log, which may follow its answer: the request's status and its attempts'."""

    def last():
        lines = read_lines(running.folder / "access.log") or ["{}"]
        line = json.loads(lines[-1])
        return line.get("status"), line.get("upstream_status")

    wait_until(lambda: last() == (status, upstream), 60, "the log has it")


def test_a_server_that_does_not_answer_in_time_is_a_504_in_our_words_and_is_not_asked_twice(hasty):
    url, bearer = f"https://{hasty.listen}/predictions/lung_ct", {"Authorization": f"Bearer {KEY}"}
    answer = requests.post(url, b"slice", headers=bearer, verify=hasty.certificate, timeout=20)
    assert answer.status_code == 504
    assert_refusal(answer, "too_slow")
    await_logged(hasty, 504, "504")


@pytest.mark.parametrize("sent", [HEAD, f"{HEAD}Content-Length: 9\r\n\r\nhalf"])
def test_a_request_that_stalls_costs_its_connection_and_nothing_behind(hasty, sent):
    host, port = hasty.listen.split(":")
    context = ssl.create_default_context(cafile=str(hasty.certificate))
    with (
        socket.create_connection((host, port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(sent.encode())
        assert is_ended(secure)
    await_logged(hasty, 408, "")
