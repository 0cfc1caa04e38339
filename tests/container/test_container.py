"""The image is built, and compose.yaml started from it for real: no root, a read-only root folder, no capabilities."""

import json
import re
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from compose_spec import PyCompose

from lungct_client import DEFAULT_PORTS
from lungct_tools import ROOT
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.picture import write_png
from lungct_tools.server.instance import EXPORTER_PORT
from tests.container.compose import DECLARED, PATIENCE_S
from tests.container.podman import USER, reach
from tests.support.calls import wait_until

LARGEST_MB = 950
BUILD_TOOLS = ("/opt/tools", "/opt/venv/bin/uv", "/opt/venv/bin/torch-model-archiver", "/usr/bin/gcc", "/usr/bin/make")
# Prints what is there of them, then every file that looks like a key.
LOOK = f"""for f in {" ".join(BUILD_TOOLS)}; do test -e $f && echo $f; done
find / -xdev -name key_file.json -o -name clients.map -o -name '*.key'
echo looked"""
LUNGCT = ("python", "-P", "-m", "lungct_tools")
HEALTH = (*LUNGCT, "health", "ready")
# Of the server, from inside its container.
INSTANCE = (
    "import os; from pathlib import Path; from lungct_tools.server.instance import Instance; "
    "instance = Instance.read(Path(os.environ['LUNG_CT_RUN'])); "
)
ops = [pytest.mark.ops, pytest.mark.server, pytest.mark.timeout(1500)]


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
class TestContainers:
    pytestmark = ops

    def test_the_image_holds_no_build_tool_and_no_secret_and_is_small(self, podman, image):
        found = podman.inspect(image)
        assert found["Size"] < LARGEST_MB * 1e6
        assert found["Config"]["User"] == str(USER)
        assert found["Healthcheck"]["Test"] == ["CMD", *HEALTH]
        limits = ("--ulimit=nofile=4096:4096", "--ulimit=nproc=4096:4096")
        as_root = ("run", "--rm", *limits, "--user=0", "--entrypoint=sh", image)
        assert podman.do(*as_root, "-c", LOOK, timeout_s=180) == "looked"

    def test_it_scores_a_phantom_without_root_on_a_read_only_root(self, podman, deployment, tmp_path):
        server = deployment.server
        write_png(draw_slice(3), tmp_path / "slice.png")
        podman.do("cp", tmp_path / "slice.png", f"{server}:/run/lung-ct/slice.png")
        scored = podman.do("exec", server, *LUNGCT, "predict", "/run/lung-ct/slice.png", "--json")
        assert json.loads(scored)["label"] in ("Normal", "Benign", "Malignant")
        for container in (server, "lung-ct_gateway_1", "lung-ct_exporter_1"):
            assert podman.do("exec", container, "id", "--user") == str(USER)
            assert podman("exec", container, "touch", "/app/file").returncode != 0
            status = podman.do("exec", container, "cat", "/proc/self/status")
            assert "CapEff:\t0000000000000000" in status
            assert "NoNewPrivs:\t1" in status

    def test_the_health_check_of_the_image_says_yes_in_the_running_server(self, podman, deployment):
        assert podman.do("exec", deployment.server, *HEALTH) == "ready: yes"

    def test_the_gateway_serves_clients_with_a_key_and_hides_the_rest(self, deployment, slices):
        bearer, door = {"Authorization": f"Bearer {deployment.key}"}, f"https://127.0.0.1:{deployment.gateway}"
        url, body = f"{door}/predictions/lung_ct", slices[0]
        assert reach(url, "POST", data=body, headers=bearer) == 200
        assert reach(url, "POST", data=body) == 401
        assert reach(f"{door}/models", headers=bearer) == 403
        for port in (*DEFAULT_PORTS, EXPORTER_PORT):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((deployment.address, port), timeout=20)

    def test_prometheus_scrapes_server_and_exporter_and_has_our_rules(self, deployment):
        def ask(what):
            return requests.get(f"http://127.0.0.1:{deployment.prometheus}/api/v1/{what}", timeout=20).json()["data"]

        def scraped():
            with suppress(requests.RequestException):  # it does not listen yet
                targets = ask("targets")["activeTargets"]
                return {target["labels"]["job"] for target in targets if target["health"] == "up"}
            return set()

        wait_until(lambda: scraped() == {"lung_ct", "lung_ct_exporter"}, 120, "both are scraped")
        named = {"alerts.yml", "objectives.yml", "recording.yml"}
        assert {group["file"].rpartition("/")[2] for group in ask("rules")["groups"]} == named

    def test_a_server_that_dies_is_started_again(self, podman, deployment):
        def run(code):
            return podman.do("exec", deployment.server, "python", "-c", INSTANCE + code)

        before = run("print(instance.pid)")
        podman("exec", deployment.server, "python", "-c", INSTANCE + "os.killpg(instance.pid, 9)")
        wait_until(lambda: not deployment.is_ready(), 90, "not ready")
        wait_until(deployment.is_ready, 180, "ready again")
        assert run("print(instance.pid)") != before

    def test_a_server_that_stays_without_workers_is_ended_and_started_again(self, podman, deployment):
        def run(code):
            return podman("exec", deployment.server, "python", "-c", INSTANCE + code).stdout

        before = run("print(instance.pid)")
        podman("exec", deployment.server, *LUNGCT, "scale", "0")
        wait_until(lambda: not deployment.is_ready(), 90, "not ready")
        wait_until(deployment.is_ready, PATIENCE_S + 180, "ready again")
        assert run("print(instance.pid)") not in ("", before)

    def test_requests_are_logged_to_the_engine_and_no_log_grows_beside_the_tokens(self, podman, deployment):
        assert reach(f"https://127.0.0.1:{deployment.gateway}/models") == 401
        wait_until(lambda: '"status": 401' in podman.do("logs", "lung-ct_gateway_1"), 60, "the line")
        assert not podman.do("exec", deployment.server, "find", "/run/lung-ct", "-name", "*.log")

    def test_it_stops_on_sigterm_the_gateway_first(self, podman, deployment):
        """The last one: the deployment is gone after it."""
        podman.do("exec", "lung-ct_gateway_1", "sleep", "0")  # Kubernetes' preStop has it wait before that
        for service in ("gateway", "server"):
            deployment.compose("stop", "--timeout", "60", service)
            state = podman.inspect(f"lung-ct_{service}_1")["State"]
            assert not state["Running"]
            assert state["ExitCode"] != 137, "killed: it did not stop by itself"
        assert podman.inspect("lung-ct_gateway_1")["State"]["ExitCode"] == 0


@pytest.mark.ops
def test_hadolint_has_nothing_to_say_about_the_containerfile():
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Containerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.ops
def test_compose_is_valid_and_opens_the_gateway_alone():
    PyCompose.from_json(json.dumps(DECLARED)).validate()  # it knows no YAML merge keys
    ports = {name: service.get("ports", []) for name, service in DECLARED["services"].items()}
    beyond = [port for port in sum(ports.values(), []) if not port.startswith("127.0.0.1:")]
    assert beyond == ["8443:8443"]
    assert {"--supervised", "--console"} <= set(DECLARED["services"]["gateway"]["command"])
    for name in ("server", "gateway", "exporter"):
        assert DECLARED["services"][name]["read_only"]
        assert DECLARED["services"][name]["cap_drop"] == ["ALL"]
        assert DECLARED["services"][name]["logging"]["options"]["max-size"]


@pytest.mark.ops
def test_the_gateways_memory_holds_all_large_files_that_nginx_lets_in_and_is_bounded():
    gateway = DECLARED["services"]["gateway"]
    (folder,) = gateway["tmpfs"]
    size = int(re.fullmatch(r"/tmp:size=(\d+)m", folder)[1])  # noqa: S108 -- of the container
    settings = (ROOT / "config" / "nginx" / "nginx.conf").read_text()
    most = int(re.search(r"limit_conn large (\d+)", settings)[1])
    most *= int(re.search(r"client_max_body_size (\d+)m", settings)[1])
    assert most < size
    assert most + size < int(gateway["mem_limit"].removesuffix("m")), "files and their second attempts"
