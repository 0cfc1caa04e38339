"""The gateway without TLS, where a mesh encrypts: keys as ever, and what callers say of themselves counts nothing."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from lungct_tools.proxy.door import find_door, look
from tests.nginx.callers import KEY, KEYS
from tests.support.gateways import run_nginx, skip_without_nginx
from tests.support.logs import await_line

pytestmark = pytest.mark.ops
PROXY, CALLER = "127.0.0.2", "203.0.113.9"  # the second: for documentation
FORWARDED = {
    "X-Forwarded-For": CALLER, "X-Forwarded-Proto": "https", "X-Forwarded-Host": "other.example", "Forwarded": "for=a",
    "X-Real-IP": CALLER,
}  # fmt: skip


@pytest.fixture(scope="module")
def nginx(upstream, tmp_path_factory):
    skip_without_nginx()
    folder = tmp_path_factory.mktemp("plain") / "gateway"
    folder.mkdir()
    with run_nginx(folder, upstream.server_port, KEYS, plain=True, proxies=(f"{PROXY}/32",)) as running:
        yield running


@pytest.fixture
def send(nginx, upstream):
    """A slice from an address of this machine: status and body of the answer."""
    upstream.seen, upstream.plan = [], []

    def post(key=None, source="127.0.0.1", **headers):
        connection = http.client.HTTPConnection(*nginx.listen.split(":"), timeout=20, source_address=(source, 0))
        bearer = {"Authorization": f"Bearer {key}"} if key else {}
        connection.request("POST", "/predictions/lung_ct", b"slice", {**bearer, **headers})
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.read())
        connection.close()
        return found

    return post


def read_stranger(nginx, body):
    """From where the access log says that this refusal was asked for."""
    return json.loads(await_line(nginx.folder / "access.log", body["request_id"]))["stranger"]


def test_a_key_is_needed_all_the_same(send, upstream):
    assert send()[0] == 401
    assert send("0" * 64)[0] == 403
    assert not upstream.seen
    assert send(KEY)[0] == 200
    assert upstream.seen[0][1]["Authorization"] == "Bearer of the hour"


@pytest.mark.parametrize("source", ["127.0.0.1", PROXY])
def test_nothing_that_a_proxy_adds_goes_on_to_the_server(send, upstream, source):
    assert send(KEY, source, **FORWARDED)[0] == 200
    assert not {name.lower() for name in FORWARDED} & {name.lower() for name in upstream.seen[0][1]}


@pytest.mark.parametrize(
    ("source", "said", "stranger"),
    [
        ("127.0.0.1", CALLER, "127.0.0.1"),
        (PROXY, CALLER, CALLER),
        (PROXY, f"198.51.100.7, {CALLER}", CALLER),  # what the caller itself sent stands first
        (PROXY, f"{CALLER}, {PROXY}", CALLER),
        (PROXY, "nobody", PROXY),
    ],
)
def test_who_calls_is_believed_of_the_trusted_proxy_alone(nginx, send, source, said, stranger):
    assert read_stranger(nginx, send(None, source, **{**FORWARDED, "X-Forwarded-For": said})[1]) == stranger


def test_who_calls_again_and_again_through_the_proxy_is_slowed_and_others_are_not(send):
    """The limits count the callers that the proxy names, not the proxy."""
    statuses = [send("0" * 64, PROXY, **{"X-Forwarded-For": "203.0.113.66"})[0] for _ in range(60)]
    assert {403, 429} == set(statuses)
    assert send("0" * 64, PROXY, **{"X-Forwarded-For": "203.0.113.67"})[0] == 403


def test_who_has_a_network_of_addresses_is_one_caller_for_the_probes_too(nginx):
    def knock(address):
        connection = http.client.HTTPConnection(*nginx.listen.split(":"), timeout=20, source_address=(PROXY, 0))
        connection.request("GET", "/readyz", headers={"X-Forwarded-For": address})
        status = connection.getresponse().status
        connection.close()
        return status

    with ThreadPoolExecutor(4) as pool:
        assert 429 in set(pool.map(knock, (f"2001:db8:1:2::{number:x}" for number in range(200))))
    assert knock("2001:db8:1:3::1") == 503, "that of another network: no server is ready here"


def test_what_is_no_request_is_told_to_speak_http(nginx):
    connection = http.client.HTTPConnection(*nginx.listen.split(":"), timeout=20)
    connection.request("GET", "/%00")
    message = json.loads(connection.getresponse().read())["message"]
    connection.close()
    assert "send HTTP, " in message


def test_the_exporter_sees_it_without_a_certificate(nginx):
    sight = look(find_door(nginx.folder.parent), 5)
    assert (sight.up, sight.expiry) == (True, None)
