"""The real TorchServe: who may ask what, what it listens on, and what its log never says."""

import json
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
import requests

from lungct_client import Client, Tokens
from lungct_client.rpc import METHOD, write_request
from tests.support.calls import post, settle, token, wait_until
from tests.support.logs import read_lines

pytestmark = pytest.mark.server


def test_curls_default_content_type_loses_the_body_and_the_answer_says_what_to_do(server):
    answer = post(server, b"plain", **{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 400
    assert answer.json()["error"] == "empty_body"
    assert "curl -T" in answer.json()["message"]


def test_every_api_but_metrics_wants_its_own_token(server, slices):
    models = server.url("management") + "/models"
    assert requests.post(server.url("inference") + "/predictions/lung_ct", slices[0], timeout=60).status_code == 400
    assert requests.get(models, timeout=60).status_code == 400
    assert requests.get(models, headers=token(server, "inference"), timeout=60).status_code == 400
    assert requests.get(models, headers=token(server, "management"), timeout=60).status_code == 200
    assert requests.get(server.url("metrics") + "/metrics", timeout=60).status_code == 200


def test_nothing_can_be_loaded_over_the_network(server):
    """Neither from an address, where somebody listens who would be asked, nor a file that lies beside our archive."""
    store = Path(server.options[server.options.index("--store") + 1])
    for name in ("other.mar", "other.war"):
        shutil.copy(store / "lung_ct.mar", store / name)

    def manage(method, path):
        url = server.url("management") + path
        return requests.request(method, url, headers=token(server, "management"), timeout=30)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for path in (f"/models?url={far}/x.mar", "/models?url=other.mar"):
            assert manage("POST", path).status_code == 405, path  # enable_model_api=false
        for path in (f"/workflows?url={far}/x.war", "/workflows?url=other.war", f"/workflows?url={store}/other.war"):
            assert manage("POST", path).status_code in (400, 403, 404), path
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert manage("DELETE", "/models/lung_ct").status_code == 405
    assert [model["modelName"] for model in manage("GET", "/models").json()["models"]] == ["lung_ct"]
    assert not manage("GET", "/workflows").json().get("workflows")


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


def test_uploads_are_never_quoted_in_the_log_and_requests_leave_no_line(server, slices):
    before = settle(lambda: len(read_lines(server.log)))  # what others had said of it
    for _ in range(5):
        post(server, slices[0])
    post(server, b"PATIENT^NAME")
    post(server, b"a=%ZZ PATIENT^NAME", **{"Content-Type": "application/x-www-form-urlencoded"})
    lines = int(server.front == "torchserve")  # of Java, which cannot read the last one

    def count():
        return sum("request not readable" in line for line in read_lines(server.log)[before:])

    wait_until(lambda: count() >= lines, 60, "the log line")
    added = read_lines(server.log)[before:]
    assert count() == lines
    assert not any("Backend received inference" in line or "[METRICS]" in line for line in added)
    assert "PATIENT" not in server.log.read_text()


def ask_by_grpc_what_it_cannot_read(server):
    """Another model, and a message over the limit."""
    with grpc.insecure_channel(f"127.0.0.1:{server.ports[3]}", [("grpc.max_send_message_length", -1)]) as channel:
        ask = channel.unary_unary(METHOD)
        metadata = (("protocol", "gRPC"), ("authorization", token(server)["Authorization"]))
        for request in (write_request("other", {}), write_request("lung_ct", {"data": bytes(36_000_000)})):
            with pytest.raises(grpc.RpcError):
                ask(request, metadata=metadata, timeout=60)


def test_bodies_that_cannot_be_read_leave_no_stack_trace(server, slices):
    before = settle(lambda: len(read_lines(server.log)))  # what others had said of it
    for kind in ("text/plain", "application/json", "application/json; charset=utf-8"):
        for body in (slices[0], b"{PATIENT^NAME", b"PATIENT^NAME"):
            post(server, body, **{"Content-Type": kind})
    post(server, slices[0], "/predictions/other")
    if server.front == "torchserve":
        ask_by_grpc_what_it_cannot_read(server)
    post(server, b"a=%ZZ", **{"Content-Type": "application/x-www-form-urlencoded"})

    def read_added():
        return read_lines(server.log)[before:]

    lines = int(server.front == "torchserve")
    wait_until(lambda: sum("request not readable" in line for line in read_added()) >= lines, 60, "the last")
    added = read_added()
    assert len(added) <= 3, added  # one line each of two that TorchServe itself could not read
    assert not any("Traceback" in line or line.startswith("\tat ") for line in added)
