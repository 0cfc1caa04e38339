"""The real TorchServe with the shipped model, called as a client would."""

import base64
import gzip
import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
import requests
import tritonclient.http as triton
import yaml
from PIL import Image

from lungct_client import RefusedError
from lungct_client.client import MAX_BYTES
from lungct_tools import ROOT
from tests.documents.test_openapi import DOCUMENT, check
from tests.support.calls import post, token, wait_until
from tests.support.pictures import encode
from tests.test_pipeline import score

pytestmark = pytest.mark.server


def test_a_slice_is_scored_with_a_reply_that_repeats(client, slices):
    first, again = client.predict(slices[0]), client.predict(slices[0])
    assert first == again
    assert first["research_use_only"] is True
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=3e-6)


def test_the_served_reply_is_the_in_process_reply(client, pipeline, slices):
    expected = score(pipeline, slices[1], **{"X-Heatmap": "always", "X-Heatmap-Format": "grid"})[0]
    assert client.predict(slices[1], heatmap="always", heatmap_format="grid") == json.loads(expected.body)


def test_sixteen_clients_with_good_and_bad_files_each_get_their_own_answer(server, slices):
    bad = {b"": 400, b"some text": 415, slices[0][:3000]: 422, bytes(33_554_433): 413}
    expected = [(body, 200) for body in slices] * 12 + list(bad.items()) * 3
    expected = [expected[i] for i in np.random.default_rng(0).permutation(len(expected))]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda pair: post(server, pair[0]), expected))
    assert [a.status_code for a in answers] == [status for _, status in expected]
    for answer in answers:
        assert answer.json()["research_use_only"] is True
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-request-id"]


def test_a_huge_upload_is_refused_by_the_server_itself_and_the_worker_lives(server, client, slices):
    pids = [worker["pid"] for worker in client.describe()["workers"]]
    with suppress(requests.ConnectionError):  # TorchServe may close before it has read everything
        assert post(server, bytes(40_000_000)).status_code == 413
    assert client.predict(slices[0])["label"]
    assert [worker["pid"] for worker in client.describe()["workers"]] == pids


def test_explanations_give_the_heatmap(server, slices):
    document = post(server, slices[2], "/explanations/lung_ct", **{"X-Heatmap-Format": "jpeg"}).json()
    picture = Image.open(io.BytesIO(base64.b64decode(document["heatmap"]["data"])))
    assert (picture.format, picture.size) == ("JPEG", (512, 512))


def test_mixed_predictions_and_explanations_each_get_what_they_asked(server, slices):
    def ask(i):
        path = "/explanations/lung_ct" if i % 2 else "/predictions/lung_ct"
        return "heatmap" in post(server, slices[0], path, **{"X-Heatmap-Format": "grid"}).json()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(32))) == [bool(i % 2) for i in range(32)]


def test_the_overlay_itself_comes_back_when_only_pictures_are_accepted(client, slices):
    assert Image.open(io.BytesIO(client.overlay(slices[0], "png"))).format == "PNG"


def test_a_multipart_form_is_read_with_its_options(server, slices):
    answer = requests.post(
        server.url("inference") + "/predictions/lung_ct",
        files={"data": ("any name", slices[0]), "heatmap": (None, "always"), "heatmap_format": (None, "grid")},
        headers=token(server),
        timeout=60,
    )
    assert answer.json()["heatmap"]["method"] == "gradcam"


def test_json_with_base64_is_read(server, slices):
    body = json.dumps({"data": base64.b64encode(slices[0]).decode(), "heatmap": "none"})
    assert post(server, body, **{"Content-Type": "application/json"}).status_code == 200
    assert post(server, "{broken", **{"Content-Type": "application/json"}).json()["error"] == "bad_option"


def test_a_clients_describe_header_poisons_nobody(server, slices):
    def ask(i):
        return post(server, slices[0], **({"describe": "True"} if i % 3 == 0 else {})).json()["label"]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(24)))) == 1


def test_header_names_are_matched_in_any_case(server, slices):
    assert "heatmap" in post(server, slices[0], **{"x-hEATMAP": "always", "X-HEATMAP-FORMAT": "grid"}).json()


def test_open_inference_protocol_works_with_tritons_client_and_in_batches(server, client, slices):
    expected = client.predict(slices[0])

    def infer(binary):
        element = slices[0] if binary else base64.b64encode(slices[0])
        tensor = triton.InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(np.array([element], object), binary_data=binary)
        peer = triton.InferenceServerClient(f"127.0.0.1:{server.ports[0]}")
        return peer.infer("lung_ct", [tensor], headers=token(server))

    with ThreadPoolExecutor(6) as pool:
        for answer in pool.map(infer, [True, False] * 6):
            assert answer.as_numpy("label").tolist() == [expected["label"]]
            assert answer.as_numpy("probabilities").max() == pytest.approx(expected["confidence"], abs=1e-5)


def test_a_compressed_body_is_inflated(server, slices):
    for body, kind in (
        (slices[0], "image/png"),
        (json.dumps({"data": base64.b64encode(slices[0]).decode()}).encode(), "application/json"),
    ):
        headers = {"Content-Encoding": "gzip", "Content-Type": kind}
        assert post(server, gzip.compress(body), **headers).json()["label"]
        assert post(server, gzip.compress(body)[:-9], **headers).json()["error"] == "corrupt_image"
    bomb = post(server, gzip.compress(bytes(MAX_BYTES + 1)), **{"Content-Encoding": "gzip"})
    assert (bomb.status_code, bomb.json()["error"]) == (413, "too_many_bytes")
    assert post(server, slices[0], **{"Content-Encoding": "deflate"}).json()["error"] == "unsupported_format"


def test_a_form_of_which_a_file_is_lost_or_that_was_cut_off_is_told_so(server, slices):
    def send(body):
        return post(server, body, **{"Content-Type": "multipart/form-data; boundary=B"}).json()

    head = b'--B\r\nContent-Disposition: form-data; name="data"; filename="a"\r\nContent-Type: image/png\r\n\r\n'
    part = head + slices[0] + b"\r\n"
    assert send(part + b"--B--\r\n")["label"]
    assert "two parts of one name" in send(part + part + b"--B--\r\n")["message"]
    for cut in (part[:-2000], part):
        told = send(cut)
        assert (told["error"], "cut off" in told["message"], "curl" in told["message"]) == ("empty_body", True, False)


def test_model_metrics_appear_in_prometheus_format(client, slices):
    for _ in range(3):
        client.predict(slices[0])
    with pytest.raises(RefusedError):
        client.predict(b"not an image")
    for name in (
        r'lung_ct_requests_total\{Label="\w+",Outcome="(report|refer)"',
        r'lung_ct_requests_total\{Label="unsupported_format",Outcome="error"',
        r'lung_ct_rejections_total\{Code="unsupported_format"',
        r'lung_ct_confidence_total\{Label="\w+",Band="0\.\d"',
        r'lung_ct_stage_seconds_sum\{Stage="(decode|inference|render)"',
        r"lung_ct_batches_total\{",
        r"ts_inference_latency_microseconds\{",
        r"ts_queue_latency_microseconds\{",
    ):
        wait_until(lambda name=name: re.search(name, client.metrics()), 20, name)  # counted a moment after the reply


def test_a_picture_reply_of_the_largest_accepted_slice_does_not_kill_the_worker(server, client):
    noise = np.random.default_rng(0).integers(0, 256, (4000, 4000), dtype=np.uint8)
    before = client.describe()["workers"][0]["pid"]
    answer = post(server, encode(noise, "PNG"), **{"X-Heatmap": "always", "X-Gate": "off"})
    assert answer.status_code == 200
    assert len(answer.content) > 20_000_000
    assert client.describe()["workers"][0]["pid"] == before


def test_a_file_over_the_limit_is_refused_before_it_is_sent(client):
    with pytest.raises(RefusedError) as caught:
        client.predict(bytes(MAX_BYTES + 1))
    assert (caught.value.status, caught.value.code) == (413, "too_many_bytes")
    settings = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    assert settings["handler"]["max_bytes"] == MAX_BYTES


def test_answers_of_the_server_are_as_described(server, slices):
    coded = base64.b64encode(slices[0]).decode()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [coded]}
    raw = {"Content-Type": "application/octet-stream"}
    calls = [
        ("/predictions/lung_ct", {"data": slices[0], "headers": raw}, 200),
        ("/predictions/lung_ct", {"json": {"data": coded, "heatmap": "always"}}, 200),
        ("/predictions/lung_ct", {"files": {"data": slices[0]}, "data": {"heatmap_format": "grid"}}, 200),
        ("/predictions/lung_ct", {"data": b"no picture", "headers": raw}, 415),
        ("/predictions/lung_ct", {"data": slices[0], "headers": {**raw, "Authorization": "Bearer none"}}, 400),
        ("/explanations/lung_ct", {"data": slices[0], "headers": raw}, 200),
        ("/v2/models/lung_ct/infer", {"json": {"id": "7", "inputs": [tensor]}}, 200),
        ("/v2/models/lung_ct/infer", {"json": {"inputs": []}}, 400),
        ("/v2/models/lung_ct/infer", {"json": {"inputs": [{**tensor, "name": "input-0"}]}}, 400),
    ]
    for path, arguments, status in calls:
        headers = {**token(server), **arguments.pop("headers", {})}
        answer = requests.post(f"{server.url('inference')}{path}", headers=headers, timeout=60, **arguments)
        assert answer.status_code == status, answer.text
        check(DOCUMENT["paths"][path]["post"], status, answer.headers["Content-Type"].split(";")[0], answer.text)
