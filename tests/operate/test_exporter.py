"""The exporter beside the real server."""

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest

from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import encode_dicom
from lungct_tools.server.health import count_ready
from lungct_tools.server.instance import find_ports
from tests.conftest import run_script
from tests.support.calls import wait_until
from tests.support.gateways import open_gateway
from tests.support.listening import listening
from tests.support.series import draw_series
from tests.support.watching import Page, exporting

pytestmark = [pytest.mark.ops, pytest.mark.server]


def test_the_exporter_tells_queue_workers_readiness_and_what_the_model_promises(exporter, client, folder):
    found = exporter.read()
    assert found["lung_ct_ready"][0][1] == 1
    assert found["lung_ct_workers_ready"][0][1] == found["lung_ct_workers_wanted"][0][1] == 1
    assert found["lung_ct_queue_capacity"][0][1] == client.describe()["jobQueueStatus"]["remainingCapacity"]
    promised = client.contract()["metrics"]
    assert found["lung_ct_expected_refer_share"][0][1] == pytest.approx(1 - promised["reported_share"])
    assert found["lung_ct_expected_confidence"][0][1] == promised["mean_confidence"]
    labels, _ = found["lung_ct_model_info"][0]
    assert labels["weights_sha256"] == folder.contract.weights_sha256
    assert found["lung_ct_canary_seconds_count"][0][1] >= 1


def test_waiting_requests_are_seen_in_the_queue(exporter, client, slices):
    seen = []
    with ThreadPoolExecutor(48) as pool:
        answers = [pool.submit(client.overlay, slices[0], "png") for _ in range(96)]  # slow ones, three batches wait
        while not all(answer.done() for answer in answers):
            seen.append(exporter.value("lung_ct_queue_pending") or 0)
    assert all(answer.result() for answer in answers)
    assert max(seen) > 0
    wait_until(lambda: exporter.value("lung_ct_queue_pending") == 0, 60, "an empty queue")


def test_canaries_are_counted_apart_from_traffic(server, exporter):
    page = Page(server.url("metrics") + "/metrics")

    def count(outcome):
        samples = page.read().get("lung_ct_requests_total", [])
        return sum(value for labels, value in samples if (labels["Outcome"] == "canary") == outcome)

    page.settle("lung_ct_requests_total")
    canaries, others = count(True), count(False)
    exporter.read()
    wait_until(lambda: count(True) > canaries, 60, "the canary is counted")
    page.settle("lung_ct_requests_total")
    assert count(False) == others


def test_an_expired_management_token_does_not_blind_the_exporter(server, exporter):
    server.keys.write_text(re.sub(r'("management": \{\s*"key": ")[^"]+', r"\1expired1", server.keys.read_text()))
    assert "expired1" in server.keys.read_text()
    assert exporter.value("lung_ct_ready") == 1


def test_without_a_server_the_exporter_says_not_ready_and_nothing_else(tmp_path):
    port = find_ports(1)[0]
    with exporting(tmp_path, tmp_path, port) as page:
        found = page.read()
        assert found.pop("lung_ct_ready") == [({}, 0)]
        assert {name for name in found if not name.startswith("lung_ct_canary_seconds")} == set()
        busy = run_script("exporter", "--port", port)
    assert (busy.returncode, "--port" in busy.stderr) == (2, True)


def test_a_gateway_is_watched_and_missed_once_it_has_ended(server, exporter):
    def counted(number):
        found.clear()
        found.update(exporter.read())
        return ({"status": "401"}, number) in found.get("lung_ct_gateway_responses_total", ())

    found = {}
    with open_gateway(server) as door:
        wait_until(lambda: counted(0), 60, "the gateway is seen")
        assert found["lung_ct_gateway_up"][0][1] == 1
        assert door.ask("POST", "/predictions/lung_ct").status_code == 401
        wait_until(lambda: counted(1), 60, "it is counted")
        left = found["lung_ct_gateway_certificate_expiry_timestamp_seconds"][0][1] - time.time()
        assert 80 < left / 86400 <= 90
    found = exporter.read()
    assert found["lung_ct_gateway_up"][0][1] == 0
    assert "lung_ct_gateway_responses_total" not in found
    assert "lung_ct_gateway_certificate_expiry_timestamp_seconds" not in found


def test_a_spool_is_watched_and_missed_once_nobody_keeps_it(server, exporter, tmp_path):
    with listening(server.run, tmp_path / "spool") as listener:
        assert exporter.value("lung_ct_pacs_up") == 1
        (tmp_path / "slice.dcm").write_bytes(draw_series(1, name="watched")[0])
        assert listener.send(tmp_path / "slice.dcm").returncode == 0
        wait_until(
            lambda: ({"state": "sent"}, 1) in exporter.read().get("lung_ct_pacs_series", ()), 90, "it is counted"
        )
        assert exporter.value("lung_ct_pacs_slices_total") == 1
        assert exporter.value("lung_ct_pacs_oldest_unsent_seconds") == 0
    assert exporter.value("lung_ct_pacs_up") == 0
    assert "lung_ct_pacs_series" not in exporter.read()


def test_worker_memory_is_that_of_the_process(exporter, client):
    worker = client.describe()["workers"][0]["pid"]

    def agrees():  # once a minute TorchServe measures; the first time, perhaps, while the model is loaded
        (found,) = exporter.read().get("lung_ct_worker_resident_bytes") or [({"pid": ""}, 0)]
        resident = psutil.Process(worker).memory_info().rss
        return found[0]["pid"] == str(worker) and found[1] == pytest.approx(resident, rel=0.2)

    wait_until(agrees, 150, "TorchServe measured its worker")


def test_memory_of_the_server_is_that_of_all_its_processes_by_part(exporter, server, client):
    client.predict(encode_dicom(draw_slice(0)))  # which a reader decodes, in a group of its own
    java = psutil.Process(server.pid)
    every = {each.pid: each for each in java.children(recursive=True)}
    worker = every[client.describe()["workers"][0]["pid"]]
    found = {labels["part"]: value for labels, value in exporter.read()["lung_ct_server_memory_bytes"]}
    assert found["worker"] == pytest.approx(worker.memory_info().rss, rel=0.1)
    assert found["java"] == pytest.approx(java.memory_info().rss, rel=0.1)
    readers = []
    for each in worker.children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # one that has just ended
            readers += [each.memory_info().rss] if "lungct.pixels.nursery" in each.cmdline() else []
    assert readers
    assert found["other"] == pytest.approx(sum(readers), rel=0.2)


def test_a_dead_worker_is_seen_before_torchserve_has_replaced_it(exporter, client):
    os.kill(client.describe()["workers"][0]["pid"], signal.SIGKILL)
    wait_until(lambda: count_ready(client.describe()) == 0, 30, "TorchServe misses it")  # before a canary waits for it
    assert exporter.value("lung_ct_workers_ready") == 0
    assert exporter.value("lung_ct_workers_wanted") == 1
    wait_until(lambda: exporter.value("lung_ct_ready") == 1, 120, "the worker is back")
