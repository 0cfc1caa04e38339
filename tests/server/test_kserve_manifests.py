"""The manifests for KServe are rendered by kustomize and hold no field that KServe or Kubernetes does not know."""

import re
import shlex
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from lungct_client import DEFAULT_PORTS
from lungct_tools import ROOT
from lungct_tools.proxy.sidecar import OPEN
from tests.server.test_kubernetes import FOLDER, VERSION
from tests.support.help import show_help

pytestmark = pytest.mark.ops
KNOWN = yaml.safe_load(Path(__file__).with_name("kserve.yaml").read_text())
PAGE = (ROOT / "docs" / "kserve.md").read_text()
POD = ("containers", "volumes", "nodeSelector", "tolerations", "affinity", "imagePullSecrets")  # of a ServingRuntime


@pytest.fixture(scope="module")
def rendered():
    """Kind -> manifest, as `kubectl apply -k` would send them."""
    command = [Path(sys.executable).parent / "kubectl", "kustomize", FOLDER / "overlays" / "kserve"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not done.stderr, "kustomize warns"
    return {each["kind"]: each for each in yaml.safe_load_all(done.stdout)}


@pytest.fixture
def manifests(rendered):
    return deepcopy(rendered)


def find_pod(manifest):
    """What KServe hands on to Kubernetes."""
    if manifest["kind"] == "ServingRuntime":
        return {name: value for name, value in manifest["spec"].items() if name in POD}
    return {name: value for name, value in manifest["spec"]["predictor"].items() if name not in KNOWN["predictor"]}


def check(manifest):
    """ValidationError for a field that nobody knows, or a value that it cannot have."""
    Draft202012Validator(KNOWN["schemas"][manifest["kind"]]).validate(manifest)
    pod = find_pod(manifest)
    if pod:
        whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [], **pod}}
        kubernetes_validate.validate(whole, VERSION, strict=True)


def test_every_field_is_known(manifests):
    assert set(manifests) == set(KNOWN["schemas"])
    for manifest in manifests.values():
        check(manifest)


@pytest.mark.parametrize(
    ("kind", "place", "wrong"),
    [
        ("InferenceService", ("spec", "predictor"), {"minReplica": 1}),
        ("InferenceService", ("spec", "predictor"), {"scaleMetric": "queue"}),
        ("InferenceService", ("spec", "predictor"), {"model": {"modelFormat": {"name": "a"}, "runtimes": "b"}}),
        ("InferenceService", ("spec", "predictor", "containers", 0), {"image_": "a"}),
        ("InferenceService", ("spec", "predictor", "containers", 0, "readinessProbe"), {"http": {}}),
        ("InferenceService", ("spec",), {"predictors": {}}),
        ("InferenceService", (), {"apiVersion": "serving.kserve.io/v1"}),
        ("ServingRuntime", ("spec",), {"initContainers": []}),
        ("ServingRuntime", ("spec",), {"protocolVersions": ["v3"]}),
        ("ServingRuntime", ("spec", "volumes", 0), {"emptyDirs": {}}),
        ("ServingRuntime", ("spec", "supportedModelFormats", 0), {"autoselect": True}),
    ],
)
def test_a_misspelt_field_would_be_found(manifests, kind, place, wrong):
    part = manifests[kind]
    for step in place:
        part = part[step]
    part |= wrong
    with pytest.raises((ValidationError, kubernetes_validate.ValidationError)):
        check(manifests[kind])


def test_kserve_finds_its_container_port_and_protocol_and_the_runtime_has_the_same_pod(manifests):
    predictor, runtime = manifests["InferenceService"]["spec"]["predictor"], manifests["ServingRuntime"]["spec"]
    (container,) = predictor["containers"]
    assert container["name"] == "kserve-container"
    assert [port["containerPort"] for port in container["ports"]] == [8080]
    assert {"name": "PROTOCOL", "value": "v2"} in container["env"]
    assert runtime["protocolVersions"] == ["v2"]
    assert (runtime["containers"], runtime["volumes"]) == (predictor["containers"], predictor["volumes"])
    assert "/v2/models/lung_ct/infer" in OPEN


def test_probes_ask_the_gateway_without_a_key_and_start_and_readiness_mean_a_scored_slice(manifests):
    (container,) = manifests["InferenceService"]["spec"]["predictor"]["containers"]
    asked = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {each["port"] for each in asked.values()} == {8080}
    assert [asked[name]["path"] for name in ("startup", "readiness", "liveness")] == ["/readyz", "/readyz", "/healthz"]
    settings = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= settings["startupTimeout"]


def test_the_container_is_confined_as_the_restricted_standard_asks(manifests):
    predictor = manifests["InferenceService"]["spec"]["predictor"]
    (container,) = predictor["containers"]
    context = container["securityContext"]
    assert context["runAsNonRoot"]
    assert not context["allowPrivilegeEscalation"]
    assert context["readOnlyRootFilesystem"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["resources"]["limits"]["memory"]
    assert not predictor["automountServiceAccountToken"]
    assert {next(iter(each.keys() - {"name"})) for each in predictor["volumes"]} == {"emptyDir", "secret"}


def test_it_drains_before_it_is_killed(manifests):
    predictor = manifests["InferenceService"]["spec"]["predictor"]
    wait, seconds = predictor["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert wait == "sleep", "endpoints are updated meanwhile"
    drain = (ROOT / "config" / "nginx" / "nginx.conf").read_text().partition("worker_shutdown_timeout ")[2]
    assert predictor["terminationGracePeriodSeconds"] > int(drain.partition("s")[0]) + int(seconds)


def test_its_commands_take_their_options_and_torchserve_has_no_port_of_the_gateways(manifests):
    (container,) = manifests["InferenceService"]["spec"]["predictor"]["containers"]
    ports = next(each["value"] for each in container["env"] if each["name"] == "LUNG_CT_PORTS").split()
    assert len(set(ports) - {"8080"}) == len(DEFAULT_PORTS)
    for command in container["args"][0].split("&&"):
        _, name, *words = shlex.split(command.partition("-m ")[2])
        shown = show_help(name).stdout
        assert all(word in shown for word in words if word.startswith("--"))


def test_the_pages_manifest_asks_the_runtime_for_a_format_that_it_has(manifests):
    (text,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    asking = yaml.safe_load(text)
    check(asking)
    shipped = manifests["InferenceService"]["spec"]["predictor"]
    for name in ("automountServiceAccountToken", "enableServiceLinks", "terminationGracePeriodSeconds"):
        assert asking["spec"]["predictor"][name] == shipped[name], "a ServingRuntime has no such fields"
    model, runtime = asking["spec"]["predictor"]["model"], manifests["ServingRuntime"]
    assert model["modelFormat"]["name"] in {each["name"] for each in runtime["spec"]["supportedModelFormats"]}
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]


def test_the_page_names_the_version_whose_fields_these_are():
    assert f"KServe {KNOWN['version']}" in PAGE
