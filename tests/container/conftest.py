"""What container tests share: podman, the image, and all of compose.yaml started from it."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from lungct_tools.proxy.nginx import make_certificate
from lungct_tools.server.instance import find_ports
from lungct_tools.server.serve import find_busy
from tests.conftest import run_script
from tests.container.compose import DECLARED, HERE, Compose
from tests.container.podman import USER, Podman, reach, require_tools
from tests.support.calls import wait_until


@pytest.fixture(scope="package")
def podman():
    require_tools()
    # Not pytest's folder: podman takes no path of more than 50 characters.
    with tempfile.TemporaryDirectory(prefix="podman-", ignore_cleanup_errors=True) as folder:
        podman = Podman(Path(folder))
        yield podman
        podman.clear()


@pytest.fixture(scope="package")
def image(podman):
    return podman.build(podman.make_base())


@dataclass(frozen=True)
class Deployment:
    """Attributes: `key` is a client's, `gateway` and `prometheus` are ports on this machine, `address` the pod's."""

    compose: Compose
    key: str
    gateway: int
    prometheus: int
    address: str
    server: str = "lung-ct_server_1"

    def is_ready(self):
        return reach(f"https://127.0.0.1:{self.gateway}/readyz") == 200


@pytest.fixture(scope="package")
def deployment(podman, image, tmp_path_factory):
    """What README's commands for compose start, but Grafana; ready."""
    declared = [int(port.rpartition(":")[0].rpartition(":")[2]) for port in DECLARED["services"]["pod"]["ports"]]
    assert not find_busy(tuple(declared)), "a deployment of before still listens, and compose would wait for it"
    home = tmp_path_factory.mktemp("home")
    folder = home / ".config" / "lung-ct"
    (folder / "tls").mkdir(parents=True)
    added = run_script("key", "add", "alice", "--clients", folder / "clients.map", "--run", home)
    assert added.returncode == 0, added.stderr
    for made, name in zip(make_certificate(folder / "tls"), ("tls.crt", "tls.key"), strict=True):
        made.rename(folder / "tls" / name)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER)
    for path in (home, *home.parents[:-1]):  # pytest's own folders are root's alone
        path.chmod(path.stat().st_mode | 0o011)
    gateway, prometheus = find_ports(2)
    podman.do("tag", image, DECLARED["services"]["server"]["image"])
    compose = Compose(podman, home, home / "changes.yaml")
    compose.write_changes(gateway, prometheus, image)
    compose("up", "--detach", *HERE)
    networks = podman.inspect("lung-ct-pod")["NetworkSettings"]["Networks"]
    found = Deployment(compose, added.stdout.strip(), gateway, prometheus, networks["lung-ct_default"]["IPAddress"])
    wait_until(found.is_ready, 300, "the gateway is ready")
    yield found
    compose("down", "--volumes", "--timeout", "5")
