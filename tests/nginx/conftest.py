"""The real nginx before an upstream that writes down what arrives."""

import http.client
import socket
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from tests.nginx.callers import KEY, KEYS
from tests.support.gateways import run_nginx, skip_without_nginx


class Recorder(BaseHTTPRequestHandler):
    """Answers with the next planned status; None closes the connection without any, "internal" is the handler's 500."""

    protocol_version = "HTTP/1.1"

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


@pytest.fixture
def holding():
    with ThreadingHTTPServer(("127.0.0.1", 0), Holding) as server:
        server.seen, server.plan, server.held, server.release = [], [], [], threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.release.set()
        server.shutdown()


@contextmanager
def recording():
    """What TorchServe would be, listening."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def upstream():
    with recording() as server:
        yield server


@pytest.fixture(scope="module")
def nginx(upstream, tmp_path_factory):
    skip_without_nginx()
    folder = tmp_path_factory.mktemp("nginx") / "gateway"
    folder.mkdir()
    with run_nginx(folder, upstream.server_port, KEYS) as running:
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
                stream = connection.makefile("rb")
                status = int(stream.readline().split()[1])
                head = iter(stream.readline, b"\r\n")
                length = next(int(line.split(b":")[1]) for line in head if line.lower().startswith(b"content-length"))
                while stream.readline() != b"\r\n":
                    pass
                return status, stream.read(length)

    return send
