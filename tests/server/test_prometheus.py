"""The real Prometheus scrapes the real server and its exporter."""

import shutil
from dataclasses import dataclass

import pytest
import requests

from lungct_client import DEFAULT_PORTS, RefusedError
from lungct_tools import ROOT
from lungct_tools.server.instance import EXPORTER_PORT, find_ports
from tests.server.test_dashboard import DASHBOARD
from tests.server.test_monitoring import ALERTS, RECORDED, RULES
from tests.support.calls import post, wait_until
from tests.support.gateways import open_gateway
from tests.support.listening import listening
from tests.support.promql import find_expressions, find_metrics
from tests.support.watching import collect, running

pytestmark = [pytest.mark.ops, pytest.mark.server]


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
        except requests.RequestException:
            return False


@pytest.fixture(scope="module")
def gateway(server):
    """One before the server, which the exporter watches too."""
    with open_gateway(server) as door:
        yield door


@pytest.fixture(scope="module")
def listener(server, tmp_path_factory):
    """One whose spool the exporter watches."""
    with listening(server.run, tmp_path_factory.mktemp("spool")) as found:
        yield found


@pytest.fixture(scope="module")
def prometheus(server, gateway, listener, exporter, tmp_path_factory):
    """Prometheus with our files, moved to this server's ports and hurried: seconds where they say minutes and hours."""
    if shutil.which("prometheus") is None:
        pytest.skip("Prometheus is not installed: apt-get install prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    moved = {
        f"127.0.0.1:{DEFAULT_PORTS[2]}": f"127.0.0.1:{server.ports[2]}",
        f"127.0.0.1:{EXPORTER_PORT}": exporter.url.removeprefix("http://").removesuffix("/metrics"),
    }
    hurried = {
        "interval: 15s": "interval: 2s",
        "timeout: 14s": "timeout: 2s",
        "interval: 1m": "interval: 1s",
        "offset 2h": "offset 4s",
    }
    for path in (ROOT / "config" / "prometheus").glob("*.yml"):
        text = path.read_text()
        for before, after in (moved | hurried).items():
            text = text.replace(before, after)
        (folder / path.name).write_text(text)
    found = Prometheus(f"http://127.0.0.1:{find_ports(1)[0]}")
    options = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": found.url.removeprefix("http://"),
    }
    command = ["prometheus", *(f"--{name}={value}" for name, value in options.items())]
    with running(command, folder / "log", lambda: found.ready):
        yield found


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

    wait_until(grew, 120, "Prometheus has seen counters grow")


def test_prometheus_reaches_both_targets(prometheus):
    def health():
        return {t["labels"]["job"]: t["health"] for t in prometheus.ask("targets")["activeTargets"]}

    wait_until(lambda: set(health().values()) == {"up"}, 90, "both targets up")
    assert set(health()) == {"lung_ct", "lung_ct_exporter"}


def test_every_rule_evaluates_and_every_recording_rule_gives_a_value(prometheus, traffic):
    missing = set(RECORDED)

    def recorded():
        missing.difference_update({name for name in missing if prometheus.query(name)})
        return not missing

    # the slowest one: TorchServe measures its workers' memory once a minute
    wait_until(recorded, 90, f"recording rules give values, but not {missing}")

    def judge():
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        return {rule["name"]: rule["health"] for rule in rules}

    wait_until(lambda: "unknown" not in judge().values(), 60, "every rule was evaluated")
    assert judge() == dict.fromkeys((*RECORDED, *ALERTS), "ok")


def test_every_metric_of_the_dashboard_and_the_rules_exists_and_every_panel_shows_something(
    prometheus, traffic, tmp_path
):
    def read_names():
        return set(prometheus.ask("label/__name__/values"))

    existing = read_names()
    of_gpus = {name for name, _ in collect(tmp_path, "echo '0, 1024, 4096, 37'")} - existing
    rules = [("rule", rule["expr"]) for rule in RULES]
    for place, expression in (*find_expressions(DASHBOARD), *rules):
        metrics = find_metrics(expression)
        wait_until(lambda metrics=metrics: metrics <= read_names() | of_gpus, 90, f"{place} has {metrics}")
        if place != "rule" and not metrics & of_gpus:
            wait_until(lambda query=expression: prometheus.query(query), 90, f"{place} shows {expression}")
