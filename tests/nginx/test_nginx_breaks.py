"""What nginx cannot even refuse as it would: a body that is none, and no room for another connection."""

import json
import resource
import ssl
from contextlib import closing
from http.client import HTTPSConnection

import psutil
import pytest

from tests.nginx.callers import KEY, KEYS, assert_ours
from tests.support.gateways import read_master, run_nginx, skip_without_nginx

pytestmark = pytest.mark.ops
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def nginx(upstream, tmp_path):
    """One that lets a client in once a second."""
    upstream.seen, upstream.plan = [], []
    skip_without_nginx()
    folder = tmp_path / "gateway"
    folder.mkdir()
    with run_nginx(folder, upstream.server_port, KEYS, rate=1) as running:
        yield running


def ask(connection):
    """One slice over a connection that stays: status, body."""
    connection.request("POST", "/predictions/lung_ct", b"slice", BEARER)
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.fixture
def connection(nginx):
    context = ssl.create_default_context(cafile=str(nginx.certificate))
    with closing(HTTPSConnection(*nginx.listen.split(":"), timeout=20, context=context)) as found:
        yield found


def test_a_client_beyond_its_rate_reads_our_words_of_a_body_that_is_none(say):
    head = f"POST /predictions/lung_ct HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    found = set()
    for _ in range(4):
        status, body = say(f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode())
        assert_ours(status, body)
        found.add((status, json.loads(body)["error"]))
    assert found <= {(400, "bad_request"), (429, "too_many_requests")}


def test_a_refusal_that_finds_no_connection_left_is_ours(nginx, connection):
    """Refusals go by way of a socket; a flood may have taken what the workers may open."""
    master = psutil.Process(read_master(nginx.folder))
    assert ask(connection)[0] == 200
    workers = {worker.pid: resource.prlimit(worker.pid, resource.RLIMIT_NOFILE) for worker in master.children()}
    try:
        for pid, (_, most) in workers.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, most))
        while (status := (answer := ask(connection))[0]) == 200:
            pass  # over a connection that it has; the rate lets one in a second
    finally:
        for pid, limits in workers.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert_ours(*answer)
    assert status in (429, 503)
