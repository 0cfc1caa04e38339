"""Open Inference Protocol at the gateway, by Triton's own client; and whatever else HTTP lets a client ask there."""

import io
import json
import re
import socket
import ssl

import numpy as np
import pytest
import requests
import tritonclient.http as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from lungct_client import Client
from tests.documents.test_openapi import DOCUMENT, check
from tests.support.calls import wait_until
from tests.support.gateways import assert_refusal, open_gateway

pytestmark = [pytest.mark.server, pytest.mark.ops]
QUESTIONS = ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/lung_ct", "/v2/models/lung_ct/ready")


@pytest.fixture(scope="module")
def door(server):
    with open_gateway(server) as opened:
        wait_until(lambda: opened.ask("GET", "/readyz").status_code == 200, 120, "ready")
        yield opened


@pytest.fixture
def peer(door):
    options = {"ca_certs": str(door.ca)}
    return triton.InferenceServerClient(f"localhost:{door.port}", ssl=True, ssl_options=options)


@pytest.fixture
def key(door):
    return {"Authorization": f"bearer {door.keys['alice']}"}


def make_tensor(content, dtype=object):
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([content], dtype))
    return tensor


def test_tritons_client_learns_of_server_and_model(peer, key):
    assert peer.is_server_live(headers=key)
    assert peer.is_server_ready(headers=key)
    assert peer.is_model_ready("lung_ct", headers=key)
    assert peer.get_server_metadata(headers=key)["name"] == "LungServe"
    assert not peer.is_model_ready("other", headers=key)


def test_the_metadata_tell_what_infer_takes_and_gives(peer, key, slices):
    told = peer.get_model_metadata("lung_ct", headers=key)
    given = told["inputs"][0]
    tensor = triton.InferInput(given["name"], given["shape"], given["datatype"])
    tensor.set_data_from_numpy(np.array([slices[0]], object))
    answer = peer.infer("lung_ct", [tensor], headers=key).get_response()
    assert told["outputs"] == [{n: o[n] for n in ("name", "datatype", "shape")} for o in answer["outputs"]]


def test_the_outputs_that_are_asked_for_come_back_and_others_are_refused(peer, key, slices):
    def infer(*names):
        outputs = [triton.InferRequestedOutput(name) for name in names]
        return peer.infer("lung_ct", [make_tensor(slices[0])], outputs=outputs, headers=dict(key))

    assert [each["name"] for each in infer("probabilities", "label").get_response()["outputs"]] == [
        "probabilities",
        "label",
    ]
    with pytest.raises(InferenceServerException, match="bad_option") as caught:
        infer("label", "logits")
    assert "400" in caught.value.status()


def test_an_input_of_another_name_is_refused_and_the_right_one_is_named(peer, key, slices):
    tensor = triton.InferInput("input-0", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([slices[0]], object))
    with pytest.raises(InferenceServerException, match="bad_option: .* called image") as caught:
        peer.infer("lung_ct", [tensor], headers=dict(key))
    assert "400" in caught.value.status()


def test_tritons_client_may_compress_with_gzip_and_nothing_else(peer, key, slices):
    def infer(algorithm):
        tensors = [make_tensor(slices[0])]
        return peer.infer("lung_ct", tensors, headers=dict(key), request_compression_algorithm=algorithm)

    assert infer("gzip").get_response()["model_name"] == "lung_ct"
    with pytest.raises(InferenceServerException, match="unsupported_format"):
        infer("deflate")


def test_it_is_not_ready_when_no_worker_is_and_says_so(door, server, peer, key):
    client = Client(server)
    client.scale(0)
    try:
        wait_until(lambda: not peer.is_server_ready(headers=key), 90, "it says so")
        assert not peer.is_model_ready("lung_ct", headers=key)
        assert peer.is_server_live(headers=key)
    finally:
        client.scale(1)
        wait_until(lambda: peer.is_server_ready(headers=key), 120, "ready again")


@pytest.mark.parametrize(("who", "status"), [(None, 401), ("0" * 64, 403)])
def test_nothing_of_it_is_told_without_a_key(door, who, status):
    for path in QUESTIONS:
        refused = door.ask("GET", path, who)
        assert refused.status_code == status, path
        assert_refusal(refused)


def test_its_answers_are_those_of_the_openapi_description(door):
    described = {path: each["get"] for path, each in DOCUMENT["paths"].items() if "get" in each}
    assert described.keys() == {*QUESTIONS, "/healthz", "/readyz", "/model"}
    for path, operation in described.items():
        needs_key = "security" not in operation
        for who, status in ((door.keys["alice"], 200), ("", 401 if needs_key else 200)):
            answer = door.ask("GET", path, who)
            assert answer.status_code == status, path
            check(operation, status, "application/json", answer.text)


def test_its_questions_take_no_other_method_and_no_body(door):
    for path in QUESTIONS:
        refused = door.ask("POST", path, door.keys["alice"])
        assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
        assert_refusal(refused, "method_not_allowed")
        assert door.ask("HEAD", path, door.keys["alice"]).status_code == 200
        assert door.ask("GET", path, door.keys["alice"], data=b"xy").status_code == 413


def test_pipelined_requests_are_answered_in_their_order(door, slices):
    """A prediction takes longest; TorchServe alone would answer what came after it first."""
    head = f"Host: x\r\nAuthorization: Bearer {door.keys['alice']}\r\n"
    score = f"POST /predictions/lung_ct HTTP/1.1\r\n{head}Content-Length: {len(slices[0])}\r\n\r\n".encode() + slices[0]
    probe = f"GET /healthz HTTP/1.1\r\n{head}\r\n".encode()
    refused = f"DELETE /predictions/lung_ct HTTP/1.1\r\n{head}\r\n".encode()
    last = f"GET /readyz HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode()
    context = ssl.create_default_context(cafile=str(door.ca))
    with (
        socket.create_connection(("127.0.0.1", door.port), timeout=60) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        secure.sendall(score + probe + score + refused + last)
        answer = secure.makefile("rb").read()
    assert re.findall(rb'"(label|live|method_not_allowed|ready)"', answer) == [
        b"label", b"live", b"label", b"method_not_allowed", b"ready",
    ]  # fmt: skip


def test_two_files_under_one_name_are_refused_in_one_form(door, slices):
    parts = [("data", ("a.png", slices[0])), ("data", ("b.jpg", slices[1]))]
    refused = door.ask("POST", "/predictions/lung_ct", door.keys["alice"], files=parts)
    assert refused.status_code == 400
    assert_refusal(refused, "bad_option")
    assert "make score" in refused.json()["message"]
    assert door.ask("POST", "/predictions/lung_ct", door.keys["alice"], files=parts[:1]).json()["label"]


def test_what_the_handler_says_of_too_much_comes_through(door):
    stream = io.BytesIO()
    Image.new("L", (8000, 4000)).save(stream, "PNG")
    refused = door.ask("POST", "/predictions/lung_ct", door.keys["alice"], data=stream.getvalue())
    assert refused.status_code == 413
    assert_refusal(refused, "too_many_pixels")


def test_the_nested_case_is_scored_as_the_flat_one(door, cases):
    document = json.loads((cases / "oip-shape-1-1-nested.json").read_text())
    flat = {**document, "inputs": [{**document["inputs"][0], "shape": [1], "data": document["inputs"][0]["data"][0]}]}
    answers = [door.ask("POST", "/v2/models/lung_ct/infer", door.keys["alice"], json=each) for each in (document, flat)]
    assert isinstance(answers[0], requests.Response)
    assert answers[0].status_code == 200, answers[0].text
    assert answers[0].json() == answers[1].json()
