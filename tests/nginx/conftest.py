"""The real nginx before an upstream that writes down what arrives."""

import http.client
import re
import socket
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from lungct_tools.proxy import nginx as templates
from tests.nginx.callers import KEY, KEYS
from tests.support.calls import read_answer
from tests.support.gateways import run_nginx, skip_without_nginx


class Recorder(BaseHTTPRequestHandler):
    """Answers with the next planned status; None closes the connection without any, "internal" is the handler's 500."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits 40 ms for the head's acknowledgement

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), body))
        status = self.server.plan.pop(0) if self.server.plan else 200
        if status is None:
            self.close_connection = True
            return
        body = b'{"error": "internal", "request_id": "7"}' if status == "internal" else b"{}"
        self.send_response(500 if status == "internal" else status)
        for name, value in {
            "Content-Type": "application/json",
            "X-Request-Id": "7",
            "X-Research-Use-Only": "true",
            "Content-Length": len(body),
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Holding(Recorder):
    """Answers when the server's `release` is set."""

    def do_POST(self):
        self.server.held.append(self)
        self.server.release.wait(60)
        super().do_POST()


class Upstream(ThreadingHTTPServer):
    """Has room for callers that come at once: with the 5 of the library some connect a second late."""

    request_queue_size = 64


@pytest.fixture
def holding():
    with Upstream(("127.0.0.1", 0), Holding) as server:
        server.seen, server.plan, server.held, server.release = [], [], [], threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.release.set()
        server.shutdown()


@contextmanager
def recording():
    """What TorchServe would be, listening."""
    with Upstream(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def upstream():
    with recording() as server:
        yield server


@contextmanager
def retimed(folder, **seconds):
    """What of nginx is started in this block has other timeouts, each of ten seconds and more."""
    text = templates.TEMPLATE.read_text()
    for name, value in seconds.items():
        text, count = re.subn(rf"^( *{name}) \d\d+s;", rf"\1 {value}s;", text, flags=re.MULTILINE)
        assert count == 1, name
    (folder / "template.conf").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "TEMPLATE", folder / "template.conf")
        yield


@pytest.fixture(scope="module")
def nginx(upstream, tmp_path_factory):
    """Uploads may stall here for as long as a busy machine takes for the rest of a test."""
    skip_without_nginx()
    folder = tmp_path_factory.mktemp("nginx") / "gateway"
    folder.mkdir()
    with retimed(folder, client_body_timeout=300), run_nginx(folder, upstream.server_port, KEYS) as running:
        yield running


@pytest.fixture
def post(nginx, upstream):
    upstream.seen, upstream.plan = [], []

    def send(path="/predictions/lung_ct", plan=(), body=b"slice", key=KEY, **headers):
        upstream.plan[:] = plan
        url, bearer = f"https://{nginx.listen}{path}", {"Authorization": f"Bearer {key}"}
        return requests.post(url, body, headers={**bearer, **headers}, verify=nginx.certificate, timeout=20)

    return send


@pytest.fixture
def ask(nginx, upstream):
    """Send a request without a key, its path letter for letter: status, headers, body."""
    upstream.seen, upstream.plan = [], []

    def send(method, path, body=None, **headers):
        context = ssl.create_default_context(cafile=str(nginx.certificate))
        connection = http.client.HTTPSConnection(*nginx.listen.split(":"), timeout=20, context=context)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        found = answer.status, dict(answer.headers), answer.read()
        connection.close()
        return found

    return send


@pytest.fixture
def say(nginx):
    """Send bytes, whatever they are: status and body of the answer."""

    def send(sent, plain=False):
        context = ssl.create_default_context(cafile=str(nginx.certificate))
        host, port = nginx.listen.split(":")
        with socket.create_connection((host, port), timeout=20) as raw:
            connection = raw if plain else context.wrap_socket(raw, server_hostname="localhost")
            with connection:
                connection.sendall(sent)
                return read_answer(connection)

    return send
