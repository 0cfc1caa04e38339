"""The manifests are rendered by kustomize, fit the API's schemas and keep the promises of the README."""

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
from tests.support.help import show_help

FOLDER = ROOT / "config" / "kubernetes"
VERSION = "1.33"
HELD = ("ConfigMap", "Ingress")  # kinds that would hold settings twice, or open a second door
pytestmark = pytest.mark.ops


@pytest.fixture(scope="module", params=["cpu", "gpu"])
def manifests(request):
    """Kind -> manifest, as `kubectl apply -k` would send them."""
    command = [Path(sys.executable).parent / "kubectl", "kustomize", FOLDER / "overlays" / request.param]
    rendered = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not rendered.stderr, "kustomize warns"
    return {each["kind"]: each for each in yaml.safe_load_all(rendered.stdout)}


def containers(manifests):
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    return {each["name"]: each for each in (*pod["initContainers"], *pod["containers"])}


def test_every_manifest_fits_its_schema(manifests):
    assert len(manifests) == 6
    for manifest in manifests.values():
        kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_a_misspelt_key_would_be_found(manifests):
    manifests["Service"]["spec"]["selectors"] = manifests["Service"]["spec"]["selector"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifests["Service"], VERSION, strict=True)
    del manifests["Service"]["spec"]["selectors"]


def test_containers_are_confined_as_the_restricted_standard_asks(manifests):
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    assert manifests["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    for container in containers(manifests).values():
        context = container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"]
        assert not context["allowPrivilegeEscalation"]
        assert container["resources"]["limits"]["memory"]
        assert container["image"].split(":")[1] not in ("", "latest")


def test_the_server_is_ready_when_it_scores_and_outlives_torchserves_own_retries(manifests):
    server = containers(manifests)["server"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server[probe]["exec"]["command"] == ["python", "-P", "-m", "lungct_tools", "health", "ready"]
    settings = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    liveness, startup = server["livenessProbe"], server["startupProbe"]
    assert liveness["periodSeconds"] * liveness["failureThreshold"] > settings["maxRetryTimeoutInSec"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= settings["startupTimeout"]


def test_the_gateway_drains_before_the_server_ends(manifests):
    assert containers(manifests)["server"]["restartPolicy"] == "Always", "a sidecar: starts first, ends last"
    drain = (ROOT / "config" / "nginx" / "nginx.conf").read_text().partition("worker_shutdown_timeout ")[2]
    wait, seconds = containers(manifests)["gateway"]["lifecycle"]["preStop"]["exec"]["command"]
    assert wait == "sleep", "endpoints are updated meanwhile"
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > int(drain.partition("s")[0]) + int(seconds)


def test_only_the_gateway_can_be_reached_and_metrics_by_monitoring_alone(manifests):
    opened = {
        port["port"]: rule.get("from")
        for rule in manifests["NetworkPolicy"]["spec"]["ingress"]
        for port in rule["ports"]
    }
    named = {p["name"]: p["containerPort"] for c in containers(manifests).values() for p in c["ports"]}
    assert named == {"metrics": DEFAULT_PORTS[2], "exporter": EXPORTER_PORT, "https": 8443}
    assert opened.pop(named["https"]) is None
    assert set(opened) == {named["metrics"], named["exporter"]}
    assert all(who[0]["namespaceSelector"]["matchLabels"].values() for who in opened.values())
    assert manifests["NetworkPolicy"]["spec"]["egress"] == []
    assert [port["targetPort"] for port in manifests["Service"]["spec"]["ports"]] == ["https"]


def test_what_clients_can_make_grow_does_not_share_memory_with_the_tokens(manifests):
    gateway = containers(manifests)["gateway"]
    volumes = {each["name"]: each for each in manifests["Deployment"]["spec"]["template"]["spec"]["volumes"]}
    mounted = {each["mountPath"]: each["name"] for each in gateway["volumeMounts"]}
    (uploads,) = [arg.partition("=")[2] for arg in gateway["args"] if arg.startswith("--uploads=")]
    assert "--console" in gateway["args"]
    assert mounted[str(Path(uploads).parent)] != mounted["/run/lung-ct"]
    settings = (ROOT / "config" / "nginx" / "nginx.conf").read_text()
    most = int(re.search(r"limit_conn large (\d+)", settings)[1])
    most *= int(re.search(r"client_max_body_size (\d+)m", settings)[1])
    size = volumes[mounted[str(Path(uploads).parent)]]["emptyDir"]["sizeLimit"]
    assert most < int(size.removesuffix("Mi")), "a pod whose volume is full is evicted"


def test_disruptions_are_bounded_and_pods_spread_for_the_pods_that_there_are(manifests):
    deployment = manifests["Deployment"]["spec"]
    pods = deployment["template"]["metadata"]["labels"].items()
    spread = deployment["template"]["spec"]["topologySpreadConstraints"]
    budget = manifests["PodDisruptionBudget"]["spec"]
    for selector in (budget["selector"], deployment["selector"], *(each["labelSelector"] for each in spread)):
        assert set(selector) == {"matchLabels"}, "an empty one selects pods of others, too"
        assert set() < set(selector["matchLabels"].items()) <= set(pods)
    assert budget["maxUnavailable"] < manifests["HorizontalPodAutoscaler"]["spec"]["minReplicas"]
    assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def test_a_sick_server_is_ended_by_its_probe_and_started_by_the_kubelet(manifests):
    assert {"--supervised", "--patience=inf"} <= set(containers(manifests)["gateway"]["args"])


def test_every_container_runs_a_command_with_options_that_it_knows(manifests):
    for container in containers(manifests).values():
        name, *options = container["args"]
        shown = show_help(name)
        assert shown.returncode == 0, shown.stderr
        assert all(option.partition("=")[0] in shown.stdout for option in options if option.startswith("--"))


def test_scaling_follows_the_metric_that_the_adapter_makes(manifests):
    wanted = {metric["pods"]["metric"]["name"] for metric in manifests["HorizontalPodAutoscaler"]["spec"]["metrics"]}
    rules = yaml.safe_load((FOLDER / "prometheus" / "adapter.yaml").read_text())["rules"]["custom"]
    assert wanted == {rule["name"]["as"] for rule in rules}
    settings = yaml.safe_load((ROOT / "config" / "metrics.yaml").read_text())
    counted = {metric["name"] for part in ("ts_metrics", "model_metrics") for metric in settings[part]["counter"]}
    for rule in rules:
        assert "rate(" in rule["metricsQuery"], "a sum that only rises would never scale down"
        used = set(re.findall(r"\b(?:ts|lung_ct)_\w+", rule["metricsQuery"]))
        assert len(used) == 2
        assert used <= counted
        assert any(f'__name__="{name}"' in rule["seriesQuery"] for name in used)


def test_prometheus_scrapes_the_ports_that_serve_metrics(manifests):
    (job,) = yaml.safe_load((FOLDER / "prometheus" / "scrape.yml").read_text())["scrape_configs"]
    kept = next(rule["regex"].split("|") for rule in job["relabel_configs"] if rule.get("action") == "keep")
    named = {port["name"] for container in containers(manifests).values() for port in container["ports"]}
    assert set(kept) == named - {"https"}
    to_job = [rule for rule in job["relabel_configs"] if rule.get("target_label") == "job"]
    jobs = {port: job["job_name"] for port in kept} | {rule["regex"]: rule["replacement"] for rule in to_job}
    alerts = (ROOT / "config" / "prometheus" / "alerts.yml").read_text()
    assert set(jobs) == set(kept)
    assert set(jobs.values()) == set(re.findall(r'job="(\w+)"', alerts))
    assert job["kubernetes_sd_configs"][0]["namespaces"]["names"] == [manifests["Namespace"]["metadata"]["name"]]


def test_no_secret_is_in_the_repository():
    text = "".join(path.read_text() for path in Path(FOLDER).rglob("*.yaml"))
    assert "kind: Secret" not in text
    assert not any(f"kind: {kind}" in text for kind in HELD)
