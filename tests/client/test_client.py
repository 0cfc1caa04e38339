"""The client and the probes before a server that answers as it is told, or not at all."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lungct_client import Client, ServerBusy, ServerError, ServerSilent, TokenError, Tokens
from lungct_client.client import LARGE, LARGE_AT_ONCE
from lungct_tools.server.health import check_live
from lungct_tools.server.instance import Instance, find_ports

REJECTED = (400, {"code": 400, "type": "InvalidKeyException", "message": "Token Authorization failed."})


class Told(BaseHTTPRequestHandler):
    """Answers everything with the server's `answer`: status, JSON and, where it has them, more headers."""

    def do_GET(self):
        status, document, *headers = self.server.answer
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.enough:
            with self.server.lock:
                self.server.here += 1
                self.server.most = max(self.server.most, self.server.here)
            self.server.enough.wait(60)
            with self.server.lock:
                self.server.here -= 1
        self.do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def told(tmp_path):
    """A stand-in for TorchServe's inference API; its management listens nowhere."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Told) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.enough, server.lock = None, threading.Lock()
        server.instance = Instance(tmp_path, (server.server_port, *find_ports(4)))
        server.instance.keys.write_text(json.dumps({"inference": {"key": "old"}, "API": {"key": "any"}}))
        yield server
        server.shutdown()


def read_request(stream):
    """One request without a body; whether there was one."""
    return bool(list(iter(lambda: stream.readline().strip(), b"")))


def test_a_connection_that_is_closed_in_the_moment_of_its_next_use_costs_no_request(tmp_path):
    """As nginx does with idle ones where it reads its settings anew."""
    seen = []

    def serve(listener):
        for requests in (2, 1):  # the second of the first connection is read, and the connection closed
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream:
                for number in range(requests):
                    seen.append(read_request(stream))
                    if (requests, number) != (2, 1):
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        listener.settimeout(60)
        served = pool.submit(serve, listener)
        client = Client(Instance(tmp_path, (listener.getsockname()[1],) * 5), deadline_s=0)
        assert [client.call("GET", "inference", "/ping").status_code for _ in range(2)] == [200, 200]
        served.result(60)
    assert seen == [True] * 3


@pytest.mark.parametrize(
    "answer", [(200, {"status": "Healthy"}), (500, {"status": "Unhealthy"}), (503, {}), (404, {}), REJECTED]
)
def test_whatever_torchserve_answers_it_is_live(told, answer):
    told.answer = answer
    assert check_live(told.instance) is None


def test_nobody_and_somebody_silent_are_not_live(tmp_path, monkeypatch):
    assert "No server" in check_live(Instance(tmp_path, tuple(find_ports(5))))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        instance = Instance(tmp_path, (silent.getsockname()[1],) * 5)
        with pytest.raises(ServerSilent, match=r"within 0\.2 s"):
            Client(instance, deadline_s=0, timeout_s=0.2).ping()
        assert "No answer" in check_live(instance)


def test_a_full_queue_is_busy_and_a_handler_that_raises_has_failed(told):
    """TorchServe answers both with 503; a probe forgives the first one."""
    told.answer = (503, {"code": 503, "type": "ServiceUnavailableException", "message": "no worker is available"})
    with pytest.raises(ServerBusy):
        Client(told.instance, deadline_s=0).predict(b"x")
    told.answer = (503, {"code": 503, "type": "InternalServerException", "message": "Prediction failed"})
    with pytest.raises(ServerError, match="Prediction failed") as caught:
        Client(told.instance, deadline_s=0).predict(b"x")
    assert not isinstance(caught.value, ServerBusy)


@pytest.mark.parametrize(("asked", "seconds"), [("7", 7), ("Wed, 25 Nov 2026 22:00:00 GMT", 0), ("-1", 0)])
def test_a_pause_that_is_asked_for_in_seconds_is_kept_and_a_date_is_no_fault(told, asked, seconds):
    told.answer = (503, {}, ("Retry-After", asked))
    with pytest.raises(ServerBusy) as caught:
        Client(told.instance, deadline_s=0).predict(b"x")
    assert caught.value.retry_after_s == seconds


def test_of_large_files_few_are_sent_at_once_and_of_small_ones_all(told):
    """The server answers only as many as are wanted together: with fewer its barrier breaks."""
    told.answer = (200, {})
    client = Client(told.instance)
    for size, together, sent in ((LARGE, LARGE_AT_ONCE, 3 * LARGE_AT_ONCE), (1, 8, 8)):
        told.here, told.most, told.enough = 0, 0, threading.Barrier(together)
        with ThreadPoolExecutor(sent) as pool:
            assert list(pool.map(client.predict, [bytes(size)] * sent)) == [{}] * sent
        assert told.most == together


def test_a_token_that_cannot_be_renewed_is_told_in_a_sentence(told):
    told.answer = REJECTED
    with pytest.raises(TokenError, match="could not be renewed"):
        Client(told.instance, deadline_s=0).predict(b"x")


def test_a_token_is_renewed_past_any_proxy(told, monkeypatch):
    told.answer = (200, {})
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{find_ports(1)[0]}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert Tokens(told.instance.keys).renew("inference", "old", told.instance.url("inference")) == "old"
