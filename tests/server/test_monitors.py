"""What the Prometheus operator is told scrapes the same as our own settings for Prometheus."""

import os
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from lungct_client import DEFAULT_PORTS
from lungct_tools import ROOT
from lungct_tools.operate.exporter import EXPORTER_PORT
from tests.server.test_kubernetes import FOLDER, VERSION
from tests.server.test_monitoring import CONFIG
from tests.server.test_monitoring import FOLDER as PROMETHEUS

pytestmark = pytest.mark.ops
KINDS = {"podmonitor": ("PodMonitor", "podMetricsEndpoints"), "servicemonitor": ("ServiceMonitor", "endpoints")}


@pytest.fixture(params=["podmonitor", "servicemonitor"])
def rendered(request, tmp_path):
    """What a user's own overlay with one component would apply: its monitor, where that scrapes, all manifests."""
    here = {name: os.path.relpath(FOLDER / name, tmp_path) for name in ("overlays/cpu", f"components/{request.param}")}
    resource, component = here.values()
    overlay = {"namespace": "lung-ct", "resources": [resource], "components": [component]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    command = [Path(sys.executable).parent / "kubectl", "kustomize", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stderr, "kustomize warns"
    manifests = list(yaml.safe_load_all(done.stdout))
    kind, endpoints = KINDS[request.param]
    (monitor,) = [each for each in manifests if each["kind"] == kind]
    return monitor, monitor["spec"][endpoints], manifests


def find_selected(monitor, manifests):
    """The pods' labels, or the services, that the monitor selects."""
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    if monitor["kind"] == "PodMonitor":
        candidates = [each["spec"]["template"] for each in manifests if each["kind"] == "Deployment"]
    else:
        candidates = [each for each in manifests if each["kind"] == "Service"]
    return [each for each in candidates if wanted <= each["metadata"].get("labels", {}).items()]


def find_ports(selected):
    """Name -> number of what the selected pod or service opens."""
    if "ports" in selected["spec"]:
        return {port["name"]: port["port"] for port in selected["spec"]["ports"]}
    containers = (*selected["spec"]["initContainers"], *selected["spec"]["containers"])
    return {port["name"]: port["containerPort"] for each in containers for port in each.get("ports", [])}


def test_a_monitor_selects_the_one_thing_that_has_the_ports_which_it_names(rendered):
    monitor, endpoints, manifests = rendered
    (selected,) = find_selected(monitor, manifests)
    ports = find_ports(selected)
    assert {ports[each["port"]] for each in endpoints} == {DEFAULT_PORTS[2], EXPORTER_PORT}
    assert monitor["metadata"]["namespace"] == "lung-ct"


def test_a_monitor_gives_the_jobs_labels_and_times_of_prometheus_yml(rendered):
    _, endpoints, _ = rendered
    for each in endpoints:
        assert each["interval"] == CONFIG["global"]["scrape_interval"]
        assert each["scrapeTimeout"] == CONFIG["global"]["scrape_timeout"]
        assert {"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "server"} in each["relabelings"]
    jobs = [rule["replacement"] for each in endpoints for rule in each["relabelings"] if rule["targetLabel"] == "job"]
    assert sorted(jobs) == sorted(job["job_name"] for job in CONFIG["scrape_configs"])


def test_everything_else_still_fits_its_schema_and_every_service_finds_the_pods(rendered):
    monitor, _, manifests = rendered
    for each in manifests:
        if each is not monitor:  # a kind of the operator's, whose schema is not Kubernetes' own
            kubernetes_validate.validate(each, VERSION, strict=True)
    (deployment,) = [each for each in manifests if each["kind"] == "Deployment"]
    pods = deployment["spec"]["template"]
    for service in (each for each in manifests if each["kind"] == "Service"):
        assert set() < service["spec"]["selector"].items() <= pods["metadata"]["labels"].items()
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(find_ports(pods))


def test_only_the_gateway_has_an_address_of_the_cluster(rendered):
    _, _, manifests = rendered
    services = {each["metadata"]["name"]: each["spec"] for each in manifests if each["kind"] == "Service"}
    assert {name for name, spec in services.items() if spec.get("clusterIP") != "None"} == {"lung-ct"}


def test_the_page_of_operations_makes_the_operators_rules_of_ours():
    loop = re.findall(r"^for each in .+?^done", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE | re.DOTALL)
    done = subprocess.run(["sh", "-c", loop[0]], capture_output=True, text=True, check=True, cwd=ROOT)
    made = [each for each in yaml.safe_load_all(done.stdout) if each]
    assert {each["kind"] for each in made} == {"PrometheusRule"}
    assert len({each["metadata"]["name"] for each in made}) == len(CONFIG["rule_files"])
    groups = [yaml.safe_load((PROMETHEUS / name).read_text())["groups"] for name in CONFIG["rule_files"]]
    assert [each["spec"]["groups"] for each in made] == groups


def test_the_page_of_operations_says_how_a_component_is_added():
    assert all(f"components/{name}" in (ROOT / "docs" / "operations.md").read_text() for name in KINDS)
