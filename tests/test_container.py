"""The image is built and started for real: without root, on a read-only root, without capabilities."""

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import yaml
from compose_spec import PyCompose

from scripts.anatomy import draw_slice
from scripts.instance import DEFAULT_PORTS, ROOT
from scripts.phantom import write_png
from scripts.proxy.nginx import make_certificate
from tests.calls import wait_until
from tests.conftest import run_script
from tests.containers import LIMITS, Podman, require_tools

# with variables filled in, as compose does
COMPOSE = yaml.safe_load(re.sub(r"\$\{HOME\}|\$\{\w+:-([^}]*)\}", r"\1", (ROOT / "compose.yaml").read_text()))
LARGEST_MB = 1000
BUILD_TOOLS = ("/opt/tools", "/opt/venv/bin/uv", "/opt/venv/bin/torch-model-archiver", "/usr/bin/gcc", "/usr/bin/make")
# Prints what is there of them, then every file that looks like a key.
LOOK = f"""for f in {" ".join(BUILD_TOOLS)}; do test -e $f && echo $f; done
find / -xdev -name key_file.json -o -name clients.map -o -name '*.key'
echo looked"""
ops = [pytest.mark.ops, pytest.mark.server, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    require_tools()
    podman = Podman(tmp_path_factory.mktemp("podman"))
    yield podman
    podman.clear()


@pytest.fixture(scope="module")
def image(podman):
    return podman.build(podman.make_base())


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """A client's key, and the folder that holds it and the certificate, as a user of the container makes them."""
    folder = tmp_path_factory.mktemp("secrets")
    added = run_script("keys", "add", "alice", "--clients", folder / "clients.map", "--run", folder)
    assert added.returncode == 0, added.stderr
    for made, name in zip(make_certificate(folder), ("tls.crt", "tls.key"), strict=True):
        made.rename(folder / name)
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    return added.stdout.strip(), folder


@pytest.fixture(scope="module")
def server(podman, image):
    """The server's container, ready."""
    podman.run(image, "server", "--volume", "run:/run/lung-ct")
    ready = ("exec", "server", "python", "scripts/health.py", "ready")
    wait_until(lambda: podman(*ready).returncode == 0, 120, "the server is ready")
    return "server"


@pytest.fixture(scope="module")
def gateway(podman, image, server, key):
    """Address of the gateway's container in the network of the server's; it drains when it is stopped."""
    mounts = [f"--volume={key[1]}:/etc/lung-ct/{name}:ro" for name in ("clients", "tls")]
    beside = (f"--network=container:{server}", f"--pid=container:{server}", "--volume=run:/run/lung-ct")
    podman.run(image, "gateway", *beside, *mounts, command=tuple(COMPOSE["services"]["gateway"]["command"]))
    address = podman.inspect(server)["NetworkSettings"]["IPAddress"]
    wait_until(lambda: reach(f"https://{address}:8443/readyz") == 200, 120, "the gateway is ready")
    return address


def reach(url, method="GET", **options):
    """The status that comes back; 0 when nothing listens there."""
    try:
        return requests.request(method, url, verify=False, timeout=20, **options).status_code  # noqa: S501 self-signed
    except requests.ConnectionError:
        return 0


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
class TestImage:
    pytestmark = ops

    def test_holds_no_build_tool_and_no_secret_and_is_small(self, podman, image):
        found = podman.inspect(image)
        assert found["Size"] < LARGEST_MB * 1e6
        assert found["Config"]["User"] == "10001"
        assert found["Healthcheck"]["Test"] == ["CMD", "python", "scripts/health.py", "ready"]
        as_root = ("run", "--rm", *LIMITS, "--user=0", "--entrypoint=sh", image)
        assert podman.do(*as_root, "-c", LOOK, timeout_s=180) == "looked"

    def test_scores_a_phantom_without_root_on_a_read_only_root(self, podman, server, tmp_path):
        write_png(draw_slice(3), tmp_path / "slice.png")
        podman.do("cp", tmp_path / "slice.png", f"{server}:/run/lung-ct/slice.png")
        scored = podman.do("exec", server, "python", "scripts/predict.py", "/run/lung-ct/slice.png", "--json")
        assert json.loads(scored)["label"] in ("Normal", "Benign", "Malignant")
        assert podman.do("exec", server, "id", "--user") == "10001"
        assert podman("exec", server, "touch", "/app/file").returncode != 0
        status = podman.do("exec", server, "cat", "/proc/1/status")
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status

    def test_gateway_serves_clients_with_a_key_and_hides_the_rest(self, gateway, key, slices):
        bearer, url = {"Authorization": f"Bearer {key[0]}"}, f"https://{gateway}:8443/predictions/lung_ct"
        body = slices[0]
        assert reach(url, "POST", data=body, headers=bearer) == 200
        assert reach(url, "POST", data=body) == 401
        assert reach(f"https://{gateway}:8443/models", headers=bearer) == 403
        for port in DEFAULT_PORTS:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((gateway, port), timeout=20)

    def test_stops_on_sigterm_the_gateway_first(self, podman, server, gateway):
        started = time.monotonic()
        for name in ("gateway", server):
            podman.do("stop", "--time", "60", name, timeout_s=90)
        assert time.monotonic() - started < 60
        assert podman.inspect("gateway")["State"]["ExitCode"] == 0


def test_hadolint_has_nothing_to_say_about_the_containerfile():
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Containerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_compose_is_valid_and_opens_the_gateway_alone():
    PyCompose.from_json(json.dumps(COMPOSE)).validate()  # it knows no YAML merge keys
    ports = {name: service.get("ports", []) for name, service in COMPOSE["services"].items()}
    beyond = [port for port in sum(ports.values(), []) if not port.startswith("127.0.0.1:")]
    assert beyond == ["8443:8443"]
    for name in ("server", "gateway", "exporter"):
        assert COMPOSE["services"][name]["read_only"]
        assert COMPOSE["services"][name]["cap_drop"] == ["ALL"]
