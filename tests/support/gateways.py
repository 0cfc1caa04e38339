"""A real gateway before a real server, for the tests."""

import os
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from lungct_client import Client, Gateway
from lungct_tools import ROOT
from lungct_tools.commandline import compose
from lungct_tools.proxy.keys import write_clients
from lungct_tools.proxy.nginx import GatewayError, Nginx, find_nginx, make_certificate
from lungct_tools.proxy.record import drain
from lungct_tools.proxy.sidecar import Readiness, Sidecar
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.ledger import ask
from lungct_tools.server.processes import list_members
from tests.conftest import run_script
from tests.support.calls import wait_found, wait_until

# Paths that are a probe's once nginx has resolved them, and a route of TorchServe's as they are written.
ASTRAY = (
    "/predictions/lung_ct/%2e%2e/%2e%2e/healthz", "/predictions/lung_ct/1.2/%2e%2e/%2e%2e/%2e%2e/healthz",
    "/predictions/lung_ct/..%2f..%2freadyz", "/models/../readyz", "/%68ealthz", "//readyz",
    "/readyz?/predictions/lung_ct", "/explanations/lung_ct/%2E%2E/%2E%2E/readyz", "/healthz", "/readyz",
)  # fmt: skip


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
    scheme: str = "https"

    @property
    def folder(self):
        return self.run / "gateway"

    @property
    def ca(self):
        return self.folder / "certificate.pem"

    def master(self):
        """The process of nginx's master; 0 in the moment in which it writes that number."""
        return read_master(self.folder)

    def client(self, name="alice", **options):
        return Client(Gateway(f"https://127.0.0.1:{self.port}", self.keys[name], self.ca), **options)

    def ask(self, method, path, key=None, **arguments):
        """One request as it is, without our client; on a connection of its own."""
        headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **arguments.pop("headers", {})}
        url = f"{self.scheme}://127.0.0.1:{self.port}{path}"
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
        yield Door(server.run, port, clients, keys, "http" if "--plain" in options else "https")
    finally:
        assert drain(server.run, 180)


def read_master(folder):
    """The process of the nginx whose folder this is; 0 where it has not written that number (yet)."""
    try:
        return int((folder / "nginx.pid").read_text() or 0)
    except FileNotFoundError:
        return 0


def is_up(nginx):
    """Whether the master of an nginx and all its workers are there, each where it is to stand: it listens before."""
    master, places = read_master(nginx.folder), []
    for pid in list_members(master):
        with suppress(OSError):  # ended meanwhile
            places += [Path(f"/proc/{pid}/cwd").readlink()] if pid != master else []
    return places == [nginx.route.place] * os.cpu_count()


@contextmanager
def run_nginx(
    folder: Path, port: int, keys: dict, rate: int = 1000, plain: bool = False, proxies: tuple = (), **second
):
    """nginx and its sidecar alone before whatever listens at `port`; the `keys` of clients by name.

    `second`: a candidate, its per cent of the requests, and whether it gets copies of these.
    """
    (folder / "key_file.json").write_text('{"inference": {"key": "of the hour"}}')
    write_clients(folder / "clients.map", keys)
    instance = Instance(folder, (port, 9, 9, 9, 9))
    listen = find_ports(1)[0]
    pair = (None, None) if plain else make_certificate(folder)
    place = (instance, folder, f"127.0.0.1:{listen}", folder / "clients.map", *pair, rate)
    made = Nginx(*place, uploads=folder / "uploads", proxies=proxies, **second)
    made.write()
    sidecar = Sidecar(made.socket, made.route, Readiness(), lambda: None)
    sidecar.start()
    process = made.start()
    try:
        wait_until(lambda: process.poll() is not None or is_up(made), 60, "nginx is up")
        assert process.poll() is None, "nginx ended"
        yield made
    finally:
        process.terminate()
        process.wait(60)
        sidecar.shutdown()


def read_counts(run):
    """What the gateway has counted, once it tells: it has a second for that, and a busy machine may need longer."""
    return wait_found(lambda: ask(run), 60, "the gateway tells what it has counted")


def add_key(run, clients, name):
    added = run_script("key", "add", name, "--run", run, "--clients", clients)
    assert added.returncode == 0, added.stderr
    return added.stdout.strip()


def stop_in_background(run):
    """`make stop` while the test goes on."""
    command = compose("stop", "--run", run)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def assert_refusal(answer, error=None):
    document = answer.json()
    assert answer.headers["Content-Type"] == "application/json"
    assert {"error", "message", "request_id", "research_use_only"} == set(document)
    assert document["research_use_only"] is True
    assert answer.headers["X-Request-Id"] == document["request_id"]
    code, _, said = document["error"].partition(": ")
    assert said == (document["message"] if "/v2" in answer.url else ""), "where clients show nothing else"
    assert error in (None, code)
