"""What nginx refuses by itself, in the body of our errors; and what strangers may make it do and write."""

import json
import os
import re
import socket
import ssl
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from lungct_tools.proxy.nginx import TEMPLATE, GatewayError, Nginx, make_certificate
from lungct_tools.server.instance import Instance
from tests.nginx.callers import KEY, KEYS, assert_ours
from tests.support.calls import wait_until
from tests.support.gateways import run_nginx, skip_without_nginx
from tests.support.logs import read_lines

pytestmark = pytest.mark.ops
AUTH = f"Authorization: Bearer {KEY}\r\n".encode()
ROUTE = b"/predictions/lung_ct"
RATE, BURST = 10, 20  # of strangers: config/nginx/nginx.conf
ODD = [
    ("an address of 40 kB", b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "too_long"),
    ("a query of 40 kB", b"POST " + ROUTE + b"?" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "too_long"),
    ("a zero byte", b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("a broken escape", b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("CONNECT", b"CONNECT 127.0.0.1:8081 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("CONNECT a path", b"CONNECT /models HTTP/1.1\r\nHost: x\r\n\r\n", 405, None),
    ("TRACE", b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405, None),
    ("POST *", b"POST * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request"),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
    ("HTTP/9", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505, "bad_request"),
    ("a header of 40 kB", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n", 431, "too_long"),
    ("a key of 9 kB", b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: " + b"a" * 9_000 + b"\r\n\r\n", 431, "too_long"),
    ("no host", b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "bad_request"),
    ("a host of blanks", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "bad_request"),
    ("a length that is none", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "bad_request"),
    ("two lengths", b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "bad_request"),
    ("a coding that is none", b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n", 501, "bad_request"),
    ("length and coding", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     "bad_request"),
    ("bytes", bytes(range(33, 127)) * 20 + b"\r\n\r\n", 400, "bad_request"),
    ("a chunk that is none", b"POST " + ROUTE + b" HTTP/1.1\r\nHost: x\r\n" + AUTH
     + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad_request"),
    ("a condition", b"GET /problem HTTP/1.1\r\nHost: x\r\nIf-Match: x\r\n\r\n", None, None),
    ("our own place for refusals", b"GET /problem HTTP/1.1\r\nHost: x\r\n\r\n", 403, "not_allowed"),
    ("that place with a key", b"POST /problem HTTP/1.1\r\nHost: x\r\n" + AUTH + b"\r\n", 403, "not_allowed"),
    ("a route and a line's end", b"GET /model%0a HTTP/1.1\r\nHost: x\r\n" + AUTH + b"\r\n", 403, "not_allowed"),
    ("a probe on a condition", b"GET /readyz HTTP/1.1\r\nHost: x\r\nIf-Unmodified-Since: Sat, 29 Oct 1994 19:43:31 GMT"
     b"\r\n\r\n", 503, None),
]  # fmt: skip


@pytest.mark.parametrize(("what", "sent", "status", "error"), ODD, ids=[row[0] for row in ODD])
def test_whatever_is_sent_the_refusal_is_ours(say, upstream, what, sent, status, error):
    upstream.seen, upstream.plan = [], []
    found, body = say(sent)
    assert status in (None, found)
    assert_ours(found, body)
    assert error is None or json.loads(body)["error"] == error
    assert not upstream.seen


def test_so_it_is_without_encryption(say):
    for sent in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n"):
        status, body = say(sent, plain=True)
        assert status in (400, 414)
        assert_ours(status, body)


def test_a_caller_that_still_writes_what_is_refused_reads_the_refusal(nginx):
    """Without `lingering_close` it met a reset instead, as happened to a slow caller in one of hundreds."""
    context = ssl.create_default_context(cafile=str(nginx.certificate))
    plain = socket.create_connection(nginx.listen.split(":"), timeout=20)
    with context.wrap_socket(plain, server_hostname="localhost") as secure:
        secure.sendall((b"GET /" + b"a" * 8192)[:8192])  # what nginx takes, so that nothing waits to be read
        answer = secure.recv(100)
        for _ in range(10):
            secure.sendall(b"a" * 4_000)
        assert answer.startswith(b"HTTP/1.1 414")
        assert secure.recv(100_000)


def test_every_error_that_nginx_has_is_told_in_our_body():
    """The statuses of its own pages, but 402 and 417 which it never sends and 444 which closes."""
    text = TEMPLATE.read_text()
    server = text.partition("proxy_intercept_errors on;")[2].partition("location = ")[0]
    told = {
        int(code)
        for line in re.findall(r"error_page ([^;]+) /problem;", server)
        for code in re.findall(r"\b\d{3}\b", line)
    }
    own = {400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 416, 421, 429, 494, 495, 496, 497, 500,
           501, 502, 503, 504, 505, 507}  # fmt: skip
    assert own <= told


class TestStrangers:
    """On an nginx of their own: they share the address with all other tests."""

    @pytest.fixture(scope="class")
    def nginx(self, upstream, tmp_path_factory):
        skip_without_nginx()
        folder = tmp_path_factory.mktemp("strangers") / "gateway"
        folder.mkdir()
        with run_nginx(folder, upstream.server_port, KEYS) as running:
            yield running

    def test_one_who_has_no_key_is_slowed_and_leaves_a_sample_and_no_client_notices(self, nginx, post):
        def knock(count):
            """So many requests one after the other, on a connection that stays as long as nginx lets it."""
            url, keys = f"https://{nginx.listen}/predictions/lung_ct", ({}, {"Authorization": f"Bearer {'0' * 64}"})
            with requests.Session() as session:
                trusted = {"verify": str(nginx.certificate), "timeout": 20}
                return [session.post(url, b"slice", headers=keys[n % 2], **trusted) for n in range(count)]

        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            answers = [answer for some in pool.map(knock, [200] * 8) for answer in some]
            let_in = RATE * (time.monotonic() - began) + BURST
            served = post()
        statuses = [answer.status_code for answer in answers]
        assert set(statuses) == {401, 403, 429}
        assert statuses.count(429) >= len(answers) - let_in - 1
        assert statuses.count(429) > 200, "enough to tell a sample from all"
        for answer in answers[:50] + answers[-50:]:
            status, headers = answer.status_code, answer.headers
            assert_ours(status, answer.content)
            assert (headers.get("WWW-Authenticate") == "Bearer") == (status == 401)
            assert (headers.get("Retry-After") == "1") == (status == 429)
        assert served.status_code == 200
        refused = [line for line in self.read(nginx) if line["client"] in ("none", "unknown")]
        assert {line["stranger"] for line in refused} == {"127.0.0.1"}
        assert {401, 403} <= {line["status"] for line in refused}, "the first ones are told"
        slowed = [line for line in refused if line["status"] == 429]
        assert len(slowed) < statuses.count(429) / 20
        wait_until(lambda: any(line["client"] == "alice" for line in self.read(nginx)), 60, "hers is")
        assert all(line["stranger"] == "" for line in self.read(nginx) if line["client"] == "alice")

    @staticmethod
    def read(nginx):
        return [json.loads(line) for line in read_lines(nginx.folder / "access.log")]

    def test_what_is_no_request_leaves_a_sample_too(self, nginx, say):
        before = len(self.read(nginx))
        for _ in range(300):
            say(b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert len(self.read(nginx)) - before < 30

    def test_a_client_that_asks_for_closed_routes_is_limited_as_well(self, nginx, ask):
        """run_nginx gives a rate of 1000 a second, and as many at once."""
        with ThreadPoolExecutor(8) as pool:
            bearer = {"Authorization": f"Bearer {KEY}"}
            statuses = list(pool.map(lambda _: ask("GET", "/models", **bearer)[0], range(30)))
        assert set(statuses) == {403}, "not by the rate of strangers"

    @pytest.mark.parametrize(
        ("method", "path", "more", "status"),
        [
            ("GET", "/models", {}, 403),
            ("GET", "/predictions/lung_ct", {}, 405),
            ("POST", "/model", {}, 405),
            ("POST", "/predictions/lung_ct", {"Content-Encoding": "br"}, 415),
            ("POST", "/predictions/lung_ct", {"Content-Length": "40000000"}, 413),
            ("GET", "/model", {"Content-Length": "9"}, 413),
            ("GET", "/copy", {}, 403),
            ("GET", "/problem", {}, 403),
        ],
    )
    def test_whatever_a_client_is_refused_for_counts_into_its_rate(
        self, upstream, tmp_path, method, path, more, status
    ):
        folder = tmp_path / "gateway"
        folder.mkdir()
        with run_nginx(folder, upstream.server_port, KEYS, rate=1) as slow, requests.Session() as session:
            session.headers.update({"Authorization": f"Bearer {KEY}"})
            url, options = f"https://{slow.listen}{path}", {"headers": more, "verify": str(slow.certificate)}
            statuses = [session.request(method, url, **options, timeout=20).status_code for _ in range(8)]
        assert statuses[0] == status
        assert set(statuses) == {status, 429}


@pytest.mark.parametrize("name", ["with blanks in it", "semi;colon", "curly{brace}", "hash#", "Ümläut"])
def test_a_path_may_be_written_as_people_write_them(upstream, name):
    skip_without_nginx()
    with tempfile.TemporaryDirectory() as short:  # a socket's path must be
        folder = Path(short) / name / "gateway"
        folder.mkdir(parents=True)
        with run_nginx(folder, upstream.server_port, KEYS) as nginx:
            assert nginx.socket.exists()
            url, bearer = f"https://{nginx.listen}/predictions/lung_ct", {"Authorization": f"Bearer {KEY}"}
            answer = requests.post(url, b"slice", headers=bearer, verify=str(nginx.certificate), timeout=20)
            assert answer.status_code == 200
            wait_until(lambda: '"status": 200' in (folder / "access.log").read_text(), 60, "the log")


@pytest.mark.parametrize("letter", ["$", '"', "\\", "*", "?", "[", ",", "\n", "'"])
def test_what_nginx_would_take_for_something_else_is_refused_in_a_sentence(tmp_path, letter):
    folder = tmp_path / f"a{letter}b"
    folder.mkdir()
    rest = ("127.0.0.1:1", tmp_path / "c", *make_certificate(tmp_path), 1, tmp_path / "uploads")
    with pytest.raises(GatewayError, match="choose another path"):
        Nginx(Instance(folder), folder, *rest).write()


@pytest.mark.parametrize("name", ["access.log", "error.log", "certificate.pem", "certificate.key"])
def test_a_pipe_in_the_place_of_a_file_holds_up_nobody(tmp_path, name):
    pair = make_certificate(tmp_path)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(GatewayError, match=f"{name} is a pipe"):
        Nginx(Instance(tmp_path), tmp_path, "127.0.0.1:1", tmp_path / "c", *pair, 1, tmp_path / "uploads").write()


@pytest.mark.parametrize("name", ["certificate.pem", "certificate.key"])
@pytest.mark.parametrize("spoil", [os.mkfifo, Path.touch, lambda path: path.symlink_to(path)])
def test_a_certificate_for_trials_of_which_a_part_is_none_is_made_anew(tmp_path, name, spoil):
    before = [path.read_bytes() for path in make_certificate(tmp_path)]
    (tmp_path / name).unlink()
    spoil(tmp_path / name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path))
    assert all(path.read_bytes() != old for path, old in zip(make_certificate(tmp_path), before, strict=True))
