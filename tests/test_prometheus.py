"""The real Prometheus scrapes the real server and its exporter."""

import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from scripts.client import RefusedError
from scripts.instance import DEFAULT_PORTS, EXPORTER_PORT, ROOT
from tests.calls import post, wait_until
from tests.conftest import find_ports, run_script
from tests.test_monitoring import ALERTS, RECORDED, find_expressions, find_metrics

pytestmark = [pytest.mark.ops, pytest.mark.server]

# TorchServe has them on a machine with an NVIDIA GPU and nvidia-smi only.
GPU_METRICS = {"GPUUtilization", "GPUMemoryUtilization"}


@dataclass(frozen=True)
class Page:
    """A page of metrics."""

    url: str

    def read(self):
        """Name of the sample -> its (labels, value) pairs; {} while nothing listens."""
        try:
            text = requests.get(self.url, timeout=20).text
        except requests.ConnectionError:
            return {}
        found = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

    def value(self, name):
        """The value of a metric that has one sample; None when it has none."""
        samples = self.read().get(name)
        return samples[0][1] if samples else None


def launch(command, log):
    with log.open("w") as stream:
        return subprocess.Popen(list(map(str, command)), stdout=stream, stderr=stream, cwd=ROOT)


def end(process):
    process.terminate()
    return process.wait(20)


@pytest.fixture(scope="module")
def exporter(server, tmp_path_factory):
    """The page of the exporter beside the server."""
    port = find_ports(1)[0]
    command = [sys.executable, "scripts/exporter.py", "--run", server.run, "--port", port]
    process = launch(command, tmp_path_factory.mktemp("exporter") / "log")
    page = Page(f"http://127.0.0.1:{port}/metrics")
    wait_until(page.read, 30, "the exporter listens")
    yield page
    assert end(process) == 0


@dataclass(frozen=True)
class Prometheus:
    """The HTTP API of one Prometheus."""

    url: str

    def ask(self, path, **parameters):
        answer = requests.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=20).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression):
        return self.ask("query", query=expression)["result"]

    @property
    def ready(self):
        try:
            return requests.get(f"{self.url}/-/ready", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False


@pytest.fixture(scope="module")
def prometheus(server, exporter, tmp_path_factory):
    """Prometheus with our files, moved to this server's ports and hurried: seconds where they say minutes and hours."""
    if shutil.which("prometheus") is None:
        pytest.skip("Prometheus is not installed: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    ports = {DEFAULT_PORTS[2]: server.ports[2], EXPORTER_PORT: int(re.search(r":(\d+)/", exporter.url)[1])}
    for path in (ROOT / "config" / "prometheus").glob("*.yml"):
        text = path.read_text().replace("interval: 15s", "interval: 1s").replace("interval: 1m", "interval: 1s")
        text = text.replace("offset 2h", "offset 3s")
        for before, after in ports.items():
            text = text.replace(f"127.0.0.1:{before}", f"127.0.0.1:{after}")
        (folder / path.name).write_text(text)
    port = find_ports(1)[0]
    options = ("config.file", folder / "prometheus.yml"), ("storage.tsdb.path", folder / "data")
    command = ["prometheus", *(f"--{name}={value}" for name, value in options)]
    process = launch([*command, f"--web.listen-address=127.0.0.1:{port}"], folder / "log")
    found = Prometheus(f"http://127.0.0.1:{port}")
    wait_until(lambda: found.ready, 30, "Prometheus is ready")
    yield found
    end(process)


@pytest.fixture(scope="module")
def traffic(server, client, slices, prometheus):
    """A little of everything that is counted, until Prometheus saw it grow: the first count of all it cannot see."""

    def send():
        for body in slices:
            client.predict(body, heatmap="always")
        with pytest.raises(RefusedError):
            client.predict(b"no image")
        broken = post(server, b"a=%ZZ", **{"Content-Type": "application/x-www-form-urlencoded"})
        assert broken.status_code == 500

    def grew():
        send()
        return all(prometheus.query(f"sum(rate({name}[1m])) > 0") for name in ("Requests5XX", "lung_ct_confidence_sum"))

    wait_until(grew, 60, "Prometheus has seen counters grow")


def test_the_exporter_tells_queue_workers_readiness_and_what_the_model_promises(exporter, client, folder):
    found = exporter.read()
    assert found["lung_ct_ready"][0][1] == 1
    assert found["lung_ct_workers_ready"][0][1] == found["lung_ct_workers_wanted"][0][1] == 1
    assert found["lung_ct_queue_capacity"][0][1] == client.describe()["jobQueueStatus"]["remainingCapacity"]
    promised = client.contract()["metrics"]
    assert found["lung_ct_expected_refer_share"][0][1] == pytest.approx(1 - promised["reported_share"])
    assert found["lung_ct_expected_confidence"][0][1] == promised["accuracy"]
    labels, _ = found["lung_ct_model_info"][0]
    assert labels["weights_sha256"] == folder.contract.weights_sha256
    assert found["lung_ct_canary_seconds_count"][0][1] >= 1


def test_waiting_requests_are_seen_in_the_queue(exporter, client, slices):
    with ThreadPoolExecutor(64) as pool:
        answers = [pool.submit(client.predict, slices[0]) for _ in range(128)]
        wait_until(lambda: exporter.value("lung_ct_queue_pending") or all(a.done() for a in answers), 60, "a queue")
        seen = exporter.value("lung_ct_queue_pending")
        assert all(answer.result()["label"] for answer in answers)
    assert seen is not None
    assert exporter.value("lung_ct_queue_pending") == 0


def test_canaries_are_counted_apart_from_traffic(server, exporter):
    page = Page(server.url("metrics") + "/metrics")

    def count(outcome):
        samples = page.read().get("lung_ct_requests_total", [])
        return sum(value for labels, value in samples if (labels["Outcome"] == "canary") == outcome)

    canaries, others = count(True), count(False)
    exporter.read()
    assert count(True) > canaries
    assert count(False) == others


def test_an_expired_management_token_does_not_blind_the_exporter(server, exporter):
    server.keys.write_text(re.sub(r'("management": \{\s*"key": ")[^"]+', r"\1expired1", server.keys.read_text()))
    assert "expired1" in server.keys.read_text()
    assert exporter.value("lung_ct_ready") == 1


def test_without_a_server_the_exporter_says_not_ready_and_nothing_else(tmp_path):
    port = find_ports(1)[0]
    process = launch([sys.executable, "scripts/exporter.py", "--run", tmp_path, "--port", port], tmp_path / "log")
    page = Page(f"http://127.0.0.1:{port}/metrics")
    wait_until(page.read, 30, "the exporter listens")
    found = page.read()
    assert found.pop("lung_ct_ready") == [({}, 0)]
    assert {name for name in found if not name.startswith("lung_ct_canary_seconds")} == set()
    busy = run_script("exporter", "--port", port)
    assert (busy.returncode, "--port" in busy.stderr) == (2, True)
    assert end(process) == 0


def test_prometheus_reaches_both_targets(prometheus):
    def health():
        return {t["labels"]["job"]: t["health"] for t in prometheus.ask("targets")["activeTargets"]}

    wait_until(lambda: set(health().values()) == {"up"}, 30, "both targets up")
    assert set(health()) == {"lung_ct", "lung_ct_exporter"}


def test_every_rule_evaluates_and_every_recording_rule_gives_a_value(prometheus, traffic):
    missing = set(RECORDED)

    def recorded():
        missing.difference_update({name for name in missing if prometheus.query(name)})
        return not missing

    # the slowest one: TorchServe measures its workers' memory once a minute
    wait_until(recorded, 90, f"recording rules give values, but not {missing}")
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule["health"] for rule in rules} == dict.fromkeys((*RECORDED, *ALERTS), "ok")


def test_every_metric_of_the_dashboard_and_the_rules_exists_and_every_panel_shows_something(prometheus, traffic):
    existing = set(prometheus.ask("label/__name__/values"))
    rules = [("rule", rule["expr"]) for rule in (*RECORDED.values(), *ALERTS.values())]
    for place, expression in (*find_expressions(), *rules):
        metrics = find_metrics(expression)
        assert metrics <= existing | GPU_METRICS, place
        if place != "rule" and not metrics & GPU_METRICS:
            wait_until(lambda query=expression: prometheus.query(query), 90, f"{place} shows {expression}")


def test_worker_memory_is_that_of_the_process(exporter, client):
    wait_until(lambda: exporter.value("lung_ct_worker_resident_bytes"), 90, "TorchServe measured its worker")
    labels, value = exporter.read()["lung_ct_worker_resident_bytes"][0]
    assert labels["pid"] == str(client.describe()["workers"][0]["pid"])
    assert value == pytest.approx(psutil.Process(int(labels["pid"])).memory_info().rss, rel=0.2)


def test_a_dead_worker_is_seen_before_torchserve_has_replaced_it(exporter, client):
    os.kill(client.describe()["workers"][0]["pid"], signal.SIGKILL)
    wait_until(lambda: exporter.value("lung_ct_workers_ready") == 0, 30, "the worker is missed")
    assert exporter.value("lung_ct_workers_wanted") == 1
    wait_until(lambda: exporter.value("lung_ct_ready") == 1, 120, "the worker is back")
