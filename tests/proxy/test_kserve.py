"""The container that KServe is told to start, by its own words, as clients of the Open Inference Protocol meet it.

KServe's own client wants pandas below 3, which the lock has not; what its REST client (0.21.0) sends and reads is here.
"""

import base64
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import requests
import tritonclient.http as triton
import yaml
from tritonclient.utils import InferenceServerException

from lungct_tools import ROOT
from lungct_tools.proxy.plain import WARNING
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.shutdown import stop
from tests.support.calls import wait_until
from tests.support.collector import collecting
from tests.support.gateways import add_key, skip_without_nginx
from tests.support.origins import TRACE_ID, TRACEPARENT

pytestmark = [pytest.mark.server, pytest.mark.ops]
MANIFEST = ROOT / "config" / "kubernetes" / "overlays" / "kserve" / "inferenceservice.yaml"
POD_IP = "127.0.0.3"


@pytest.fixture(scope="module")
def collector():
    with collecting() as opened:
        yield opened


@pytest.fixture(scope="module")
def pod(store, collector, tmp_path_factory):
    """The address of the container's port and a key for it."""
    skip_without_nginx()
    folder = tmp_path_factory.mktemp("pod")
    run, clients, (port, *ports) = folder / "run", folder / "clients.map", find_ports(6)
    (container,) = yaml.safe_load(MANIFEST.read_text())["spec"]["predictor"]["containers"]
    *_, shell, option = container["command"]
    (words,) = container["args"]
    for there, here in {
        "python": sys.executable,
        "lungct_tools serve": f"lungct_tools serve --store {store}",
        ":8080": f":{port}",
        "/tmp/uploads": str(folder / "uploads"),  # noqa: S108 -- a volume of the pod
    }.items():
        assert there in words
        words = words.replace(there, here)
    told = {each["name"]: each.get("value") for each in container["env"]}
    place = {"POD_IP": POD_IP, "LUNG_CT_PORTS": " ".join(map(str, ports)), "LUNG_CT_RUN": str(run)}
    assert {"POD_IP", "LUNG_CT_PORTS"} <= told.keys()
    run.mkdir(mode=0o700)
    key = add_key(run, clients, "alice")
    environment = {**os.environ, **place, "LUNG_CT_CLIENTS": str(clients), "LUNG_CT_TRACES": collector.address}
    log, address = folder / "output", f"{POD_IP}:{port}"

    def ready():
        assert process.poll() is None, log.read_text()
        try:
            return requests.get(f"http://{address}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    with log.open("wb") as output:
        process = subprocess.Popen([shell, option, words], env=environment, stdout=output, stderr=output)
    try:
        wait_until(ready, 200, "the container is ready")
        assert WARNING in log.read_text()
        yield address, key
        process.terminate()
        assert process.wait(120) == 0, "SIGTERM drains it"
    finally:
        process.kill()
        process.wait()
        stop(Instance.read(run))


@pytest.fixture
def peer(pod):
    return triton.InferenceServerClient(pod[0])


@pytest.fixture
def key(pod):
    return {"Authorization": f"Bearer {pod[1]}"}


def make_tensor(content):
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([content], object))
    return tensor


def test_tritons_client_learns_of_it_and_scores(peer, key, slices):
    assert peer.is_server_live(headers=key)
    assert peer.is_server_ready(headers=key)
    assert peer.is_model_ready("lung_ct", headers=key)
    assert peer.get_model_metadata("lung_ct", headers=key)["inputs"][0]["datatype"] == "BYTES"
    answer = peer.infer("lung_ct", [make_tensor(slices[0])], headers=key)
    assert answer.as_numpy("probabilities").sum() == pytest.approx(1, abs=1e-5)


def test_triton_raises_our_sentence_for_what_handler_and_gateway_refuse(peer, key):
    with pytest.raises(InferenceServerException, match="unsupported_format: .* PNG") as refused:
        peer.infer("lung_ct", [make_tensor(b"no picture")], headers=dict(key))
    assert refused.value.status() == "415"
    with pytest.raises(InferenceServerException, match="no_key: Send the key"):
        peer.infer("lung_ct", [make_tensor(b"no picture")])
    with pytest.raises(InferenceServerException, match="no_key: Send the key"):
        peer.get_server_metadata()


def send_as_kserve(pod, key, content, binary):
    """The POST of its REST client, for data that were set with or without `binary_data`."""
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES"}
    document = {"id": "5c3de889-d530-466b-befe-7657fc49b920", "model_name": "lung_ct", "inputs": [tensor]}
    headers = {**key, "content-type": "application/json"}
    if binary:
        tensor["parameters"] = {"binary_data_size": 4 + len(content)}
        head = json.dumps(document, separators=(",", ":")).encode()
        body = head + len(content).to_bytes(4, "little") + content
        headers |= {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    else:
        tensor["data"] = [base64.b64encode(content).decode()]
        body = json.dumps(document, separators=(",", ":")).encode()
    return requests.post(f"http://{pod[0]}/v2/models/lung_ct/infer", body, headers=headers, timeout=60)


@pytest.mark.parametrize("path", ["health/live", "health/ready", "models/lung_ct/ready"])
def test_kserves_questions_are_answered(pod, key, path):
    answer = requests.get(f"http://{pod[0]}/v2/{path}", headers=key, timeout=20)
    assert answer.ok
    assert path == "models/lung_ct/ready" or answer.json()[path.rpartition("/")[2]] is True


@pytest.mark.parametrize("binary", [False, True])
def test_kserves_requests_are_scored_and_refused_in_the_field_that_its_error_shows(pod, key, slices, binary):
    answer = send_as_kserve(pod, key, slices[0], binary)
    assert (answer.status_code, "Inference-Header-Content-Length" in answer.headers) == (200, False)
    document = answer.json()
    assert {"id", "model_name", "outputs"} <= document.keys()
    assert all({"name", "shape", "datatype", "data"} <= tensor.keys() for tensor in document["outputs"])
    refused = send_as_kserve(pod, key, b"no picture", binary)
    assert (refused.status_code, refused.headers["content-type"]) == (415, "application/json")
    assert refused.json()["error"] == f"unsupported_format: {refused.json()['message']}"


def test_a_request_is_traced_from_the_gateway_on_under_the_ids_of_its_reply(pod, key, slices, collector):
    answer = send_as_kserve(pod, {**key, "traceparent": TRACEPARENT, "tracestate": "a=b"}, slices[0], binary=True)
    _, trace, span, flags = answer.headers["traceparent"].split("-")
    assert (answer.status_code, trace, flags) == (200, TRACE_ID, "00")

    def find(field):
        return [each for each in collector.spans if getattr(each, field).hex() == span]

    wait_until(lambda: len(find("parent_span_id")) == 4 and find("span_id"), 60, "its spans")
    (whole,) = find("span_id")
    assert whole.trace_id.hex() == TRACE_ID
    assert {each.key: each.value.string_value for each in whole.attributes}["route"] == "infer"
    queue = find("parent_span_id")[0]
    assert queue.name == "queue"
    assert whole.start_time_unix_nano == queue.start_time_unix_nano <= queue.end_time_unix_nano
