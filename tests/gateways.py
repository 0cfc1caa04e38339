"""A real gateway before a real server, for the tests."""

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from scripts.client import Client, Gateway
from scripts.instance import ROOT, Instance, find_ports
from scripts.proxy.nginx import GatewayError, find_nginx
from scripts.proxy.record import drain
from tests.conftest import run_script


def skip_without_nginx():
    try:
        find_nginx()
    except GatewayError as error:
        pytest.skip(str(error))


@dataclass(frozen=True)
class Door:
    """An open gateway: where it listens, who has a key, whom to trust."""

    run: Path
    port: int
    clients: Path
    keys: dict

    @property
    def folder(self):
        return self.run / "gateway"

    @property
    def ca(self):
        return self.folder / "certificate.pem"

    def client(self, name="alice", **options):
        return Client(Gateway(f"https://127.0.0.1:{self.port}", self.keys[name], self.ca), **options)

    def ask(self, method, path, key=None, **arguments):
        """One request as it is, without our client; on a connection of its own."""
        headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **arguments.pop("headers", {})}
        url = f"https://127.0.0.1:{self.port}{path}"
        request = requests.Request(method, url, headers=headers, **arguments).prepare()
        request.url = url  # with its dots and slashes as they are
        with requests.Session() as session:
            return session.send(request, verify=str(self.ca), timeout=90, allow_redirects=False)


@contextmanager
def open_gateway(server: Instance, names=("alice",), *options):
    """The gateway in the background as `make gateway` starts it; drained at the end."""
    skip_without_nginx()
    clients, port = server.run / "clients.map", find_ports(1)[0]
    keys = {name: add_key(server.run, clients, name) for name in names}
    place = ("--run", server.run, "--clients", clients, "--listen", f"127.0.0.1:{port}")
    started = run_script("gateway", *place, *options)
    assert started.returncode == 0, started.stderr
    try:
        yield Door(server.run, port, clients, keys)
    finally:
        assert drain(server.run, 60)


def add_key(run, clients, name):
    added = run_script("keys", "add", name, "--run", run, "--clients", clients)
    assert added.returncode == 0, added.stderr
    return added.stdout.strip()


def stop_in_background(run):
    """`make stop` while the test goes on."""
    command = [sys.executable, str(ROOT / "scripts" / "stop.py"), "--run", str(run)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def assert_refusal(answer, error=None):
    document = answer.json()
    assert answer.headers["Content-Type"] == "application/json"
    assert {"error", "message", "request_id", "research_use_only"} == set(document)
    assert document["research_use_only"] is True
    assert answer.headers["X-Request-Id"] == document["request_id"]
    assert error in (None, document["error"])
