"""The real TorchServe with the shipped model, called as a client would."""

import base64
import io
import json
import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
import numpy as np
import pytest
import requests
import tritonclient.http as triton
import yaml
from PIL import Image

from scripts.client import MAX_BYTES, Client, RefusedError, ServerDown, Tokens
from scripts.health import check_live, check_ready, count_ready
from scripts.instance import ROOT, Instance
from scripts.scale import wait_workers
from tests.conftest import encode, find_ports, run_script
from tests.test_pipeline import assert_same_reply, score

pytestmark = pytest.mark.server


def token(server, kind="inference"):
    return {"Authorization": f"Bearer {Tokens(server.keys).read(kind)}"}


def post(server, body, path="/predictions/lung_ct", **headers):
    return requests.post(server.url("inference") + path, data=body, headers={**token(server), **headers}, timeout=60)


def wait_until(condition, deadline_s, what):
    ends = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < ends, f"{what}: not within {deadline_s} s"
        threading.Event().wait(0.1)


def test_a_slice_is_scored_with_a_reply_that_repeats(client, slices):
    first, again = client.predict(slices[0]), client.predict(slices[0])
    assert first == again
    assert first["research_use_only"] is True
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=3e-6)


def test_the_served_reply_is_the_in_process_reply(client, pipeline, slices):
    expected = score(pipeline, slices[1], **{"X-Heatmap": "always", "X-Heatmap-Format": "grid"})[0]
    assert_same_reply(client.predict(slices[1], heatmap="always", heatmap_format="grid"), json.loads(expected.body))


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


def test_curls_default_content_type_loses_the_body_and_the_answer_says_what_to_do(server):
    answer = post(server, b"plain", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 400
    assert answer.json()["error"] == "empty_body"
    assert "curl -T" in answer.json()["message"]


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


def test_grpc_predictions_answer_with_the_same_json(server, client, slices, monkeypatch):
    monkeypatch.chdir(ROOT / "tests")
    messages, services = grpc.protos_and_services("torchserve.proto")
    with grpc.insecure_channel(f"127.0.0.1:{server.ports[3]}") as channel:
        stub = services.InferenceAPIsServiceStub(channel)
        request = messages.PredictionsRequest(model_name="lung_ct", input={"data": slices[0]})
        credentials = [("protocol", "gRPC"), ("authorization", token(server)["Authorization"])]
        answer = json.loads(stub.Predictions(request, metadata=credentials, timeout=60).prediction)
    assert answer == client.predict(slices[0])


def test_every_api_but_metrics_wants_its_own_token(server, slices):
    models = server.url("management") + "/models"
    assert requests.post(server.url("inference") + "/predictions/lung_ct", slices[0], timeout=10).status_code == 400
    assert requests.get(models, timeout=10).status_code == 400
    assert requests.get(models, headers=token(server, "inference"), timeout=10).status_code == 400
    assert requests.get(models, headers=token(server, "management"), timeout=10).status_code == 200
    assert requests.get(server.url("metrics") + "/metrics", timeout=10).status_code == 200


def test_nothing_can_be_loaded_over_the_network(server):
    for path in ("/models?url=http://127.0.0.1:9/x.mar", "/workflows?url=http://127.0.0.1:9/x.war"):
        answer = requests.post(server.url("management") + path, headers=token(server, "management"), timeout=10)
        assert answer.status_code in (400, 403, 404, 405), path
        assert "127.0.0.1:9" not in answer.text or "match" in answer.text, path
    assert (
        requests.delete(
            server.url("management") + "/models/lung_ct", headers=token(server, "management"), timeout=10
        ).status_code
        >= 400
    )


def test_the_server_listens_on_loopback_only(server):
    listening = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, port = local.rsplit(":", 1)
            if state == "0A" and int(port, 16) in server.ports:
                listening.add(address)
    loopback = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
    assert listening
    assert listening <= loopback


def test_token_file_and_run_folder_are_private(server):
    assert server.keys.stat().st_mode & 0o077 == 0
    assert server.run.stat().st_mode & 0o077 == 0
    assert Path(server.temp).stat().st_mode & 0o077 == 0


def test_an_expired_token_is_renewed_by_the_client_once(server, slices):
    keys = json.loads(server.keys.read_text())
    keys["inference"]["key"] = "expired1"
    server.keys.write_text(json.dumps(keys))
    client = Client(server)
    with ThreadPoolExecutor(8) as pool:
        labels = set(pool.map(lambda _: client.predict(slices[0])["label"], range(16)))
    assert len(labels) == 1
    renewed = Tokens(server.keys).read("inference")
    assert renewed != "expired1"
    # whoever comes with the old key takes the new one and does not kill it by renewing again
    assert Tokens(server.keys).renew("inference", "expired1", server.url("management")) == renewed


def test_model_metrics_appear_in_prometheus_format(client, slices):
    for _ in range(3):
        client.predict(slices[0])
    with pytest.raises(RefusedError):
        client.predict(b"not an image")
    text = client.metrics()
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
        assert re.search(name, text), name


def test_torchserve_runs_with_the_settings_that_are_written(server, client):
    """A wrong type or key in the YAML is ignored in silence, and a snapshot would win over it."""
    written = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    running = client.describe()
    assert {key: running[key] for key in ("batchSize", "maxBatchDelay", "responseTimeout", "minWorkers")} == {
        key: written[key] for key in ("batchSize", "maxBatchDelay", "responseTimeout", "minWorkers")
    }
    assert not list(server.run.rglob("*.cfg"))


def test_a_picture_reply_of_the_largest_accepted_slice_does_not_kill_the_worker(server, client):
    noise = np.random.default_rng(0).integers(0, 256, (4000, 4000), dtype=np.uint8)
    before = client.describe()["workers"][0]["pid"]
    answer = post(server, encode(noise, "PNG"), **{"X-Heatmap": "always", "X-Gate": "off"})
    assert answer.status_code == 200
    assert len(answer.content) > 20_000_000
    assert client.describe()["workers"][0]["pid"] == before


def test_live_and_ready_say_yes_with_exit_codes(server):
    assert check_live(server) is None
    assert check_ready(server) is None
    assert run_script("health", "live", "--run", server.run).returncode == 0
    assert run_script("health", "ready", "--run", server.run).returncode == 0
    too_many = run_script("health", "ready", "--run", server.run, "--workers", 9)
    assert (too_many.returncode, "of 9 workers" in too_many.stdout) == (1, True)


def test_ready_says_no_where_ping_still_says_healthy(server, client, slices):
    client.scale(0)
    assert wait_workers(client, 0, 30)
    assert client.ping()
    assert "0 of 1" in check_ready(server, workers=1)
    client.scale(1)
    wait_until(lambda: check_ready(server) is None, 90, "a worker is back")


def test_scaling_waits_until_the_workers_are_ready_and_back(server, client):
    scaled = run_script("scale", 2, "--run", server.run)
    assert scaled.returncode == 0, scaled.stderr
    assert scaled.stdout.count("READY") == 2
    assert count_ready(client.describe()) == 2
    assert run_script("scale", 1, "--run", server.run).returncode == 0
    assert count_ready(client.describe()) == 1


def test_killing_a_worker_during_five_hundred_requests_loses_none(server, slices):
    client = Client(server, deadline_s=120)
    victim = client.describe()["workers"][0]["pid"]
    done = []

    def ask(i):
        if i == 100:
            os.kill(victim, signal.SIGKILL)
        label = client.predict(slices[i % len(slices)])["label"]
        done.append(label)
        return label

    with ThreadPoolExecutor(16) as pool:
        labels = list(pool.map(ask, range(500)))
    assert len(done) == 500
    for i, body in enumerate(slices):
        assert set(labels[i :: len(slices)]) == {client.predict(body)["label"]}
    assert client.describe()["workers"][0]["pid"] != victim


def test_uploads_are_never_quoted_in_the_log_and_requests_leave_no_line(server, slices):
    before = len(server.log.read_text().splitlines())
    for _ in range(5):
        post(server, slices[0])
    post(server, b"PATIENT^NAME")
    post(server, b"a=%ZZ PATIENT^NAME", **{"Content-Type": "application/x-www-form-urlencoded"})
    wait_until(lambda: "request not readable" in server.log.read_text(), 20, "the log line")
    added = server.log.read_text().splitlines()[before:]
    assert sum("request not readable" in line for line in added) == 1
    assert not any("Backend received inference" in line or "[METRICS]" in line for line in added)
    assert "PATIENT" not in server.log.read_text()


def test_predict_prints_a_table_json_lines_and_an_overlay(server, slices, tmp_path):
    (tmp_path / "one.png").write_bytes(slices[0])
    (tmp_path / "two.txt").write_text("no image")
    table = run_script("predict", tmp_path, "--run", server.run)
    assert table.returncode == 1
    assert "unsupported_format" in table.stdout
    assert "Research use only" in table.stdout
    lines = run_script("predict", tmp_path / "one.png", "--run", server.run, "--json", "--overlay", tmp_path / "o.jpg")
    assert lines.returncode == 0
    assert json.loads(lines.stdout)["label"] in table.stdout
    assert Image.open(tmp_path / "o.jpg").size == (512, 512)


def test_status_shows_model_engine_and_workers(server):
    shown = run_script("status", "--run", server.run, "--json")
    assert shown.returncode == 0
    document = json.loads(shown.stdout)
    assert document["ready"]
    assert document["engine"].startswith("torch-")
    assert document["workers"][0]["status"] == "READY"


def test_a_server_that_is_down_is_named_in_one_sentence_with_an_exit_code(tmp_path, slices):
    (tmp_path / "one.png").write_bytes(slices[0])
    nowhere = Instance(tmp_path, ports=(9, 9, 9, 9, 9))
    with pytest.raises(ServerDown, match="make serve"):
        Client(nowhere, deadline_s=0).predict(b"x")
    nowhere.write()
    failed = run_script("predict", tmp_path / "one.png", "--run", tmp_path)
    assert failed.returncode in (3,)
    assert len(failed.stderr.strip().splitlines()) == 1
    assert run_script("status", "--run", tmp_path).returncode == 1


def test_a_damaged_archive_does_not_become_ready_and_says_so(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (store / "lung_ct.mar").write_bytes(b"no archive")

    started = run_script(
        "serve", "--run", tmp_path / "run", "--store", store, "--ports", *find_ports(5), "--deadline", 20
    )
    assert started.returncode == 1
    assert "not ready" in started.stderr
    assert not Instance.read(tmp_path / "run").running


def test_a_file_over_the_limit_is_refused_before_it_is_sent(client):
    with pytest.raises(RefusedError) as caught:
        client.predict(bytes(MAX_BYTES + 1))
    assert (caught.value.status, caught.value.code) == (413, "too_many_bytes")
    settings = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    assert settings["handler"]["max_bytes"] == MAX_BYTES
