"""The real TorchServe: ready, scaled, killed, stopped, and looked at from the command line."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import yaml
from PIL import Image

from lungct_client import Client, ServerDown
from lungct_tools import ROOT
from lungct_tools.server.gpus import find_unreadable_gpus
from lungct_tools.server.health import check_live, check_ready, count_batches, count_ready
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.runfolder import SOCKET_PATH_LIMIT, make_temp
from lungct_tools.server.scale import wait_workers
from lungct_tools.server.serve import find_busy
from tests.conftest import run_script
from tests.support.calls import wait_until
from tests.support.standins import make_archive
from tests.support.units import is_alive

pytestmark = pytest.mark.server


def test_torchserve_runs_with_the_settings_that_are_written(server, client):
    """A wrong type or key in the YAML is ignored in silence, and a snapshot would win over it."""
    written = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    running = client.describe()
    assert {key: running[key] for key in ("batchSize", "maxBatchDelay", "responseTimeout", "minWorkers")} == {
        key: written[key] for key in ("batchSize", "maxBatchDelay", "responseTimeout", "minWorkers")
    }
    assert not list(server.run.rglob("*.cfg"))


def test_live_and_ready_say_yes_with_exit_codes(server):
    assert check_live(server) is None
    assert check_ready(server) is None
    assert run_script("health", "live", "--run", server.run).returncode == 0
    assert run_script("health", "ready", "--run", server.run).returncode == 0
    too_many = run_script("health", "ready", "--run", server.run, "--workers", 9)
    assert (too_many.returncode, "of 9 workers" in too_many.stdout) == (1, True)


def test_ready_says_no_where_ping_still_says_healthy(server, client, slices):
    client.scale(0)
    assert wait_workers(client, 0, 90)
    client.ping()
    assert "0 of 1" in check_ready(server, workers=1)
    client.scale(1)
    wait_until(lambda: check_ready(server) is None, 90, "a worker is back")


def test_a_worker_that_hangs_is_not_ready_though_torchserve_says_so(server, client, monkeypatch):
    monkeypatch.setattr("lungct_tools.server.health.CANARY_TIMEOUT_S", 2)
    worker = client.describe()["workers"][0]["pid"]
    os.kill(worker, signal.SIGSTOP)
    try:
        assert check_ready(server) == "0 of 1 workers are READY"
        assert client.describe()["workers"][0]["status"] == "READY"
        monkeypatch.setattr("lungct_tools.server.health.is_stopped", lambda _: False)  # one that hangs for itself
        assert "No answer within 2 s" in check_ready(server)
        monkeypatch.undo()
    finally:
        os.kill(worker, signal.SIGCONT)
    before = count_batches(client)
    wait_until(lambda: check_ready(server) is None, 90, "it goes on")
    wait_until(lambda: count_batches(client) > before, 60, "which is counted, a moment after the reply")


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
    assert document["engine"].startswith("openvino-")
    assert document["workers"][0]["status"] == "READY"


def test_the_table_of_workers_shows_the_memory_that_each_has_now(server):
    workers = Client(server).describe()["workers"]
    row = next(line for line in run_script("status", "--run", server.run).stdout.splitlines() if "READY" in line)
    held = psutil.Process(workers[0]["pid"]).memory_info().rss / 1e6
    shown = float(row.split("│")[4])
    assert held > 100  # with its model
    assert shown == pytest.approx(held, rel=0.1)


def test_a_server_that_is_down_is_named_in_one_sentence_with_an_exit_code(tmp_path, slices):
    (tmp_path / "one.png").write_bytes(slices[0])
    nowhere = Instance(tmp_path, ports=(9, 9, 9, 9, 9))
    with pytest.raises(ServerDown, match="make serve"):
        Client(nowhere, deadline_s=0).predict(b"x")
    nowhere.write()
    for command in (("predict", tmp_path / "one.png"), ("scale", 1), ("score", tmp_path, tmp_path.with_suffix(".out"))):
        failed = run_script(*command, "--run", tmp_path, timeout_s=20)  # not the minutes that a restart is waited for
        assert failed.returncode == 3
        assert len(failed.stderr.strip().splitlines()) == 1
        assert "make serve" in failed.stderr
    assert run_script("status", "--run", tmp_path).returncode == 1


def test_the_model_that_a_killed_server_unpacked_does_not_stay_in_the_run_folder(tmp_path):
    for kept in (False, True):
        left = Path(make_temp(tmp_path)) / "models" / "0123"
        left.mkdir(parents=True)
        if kept:
            Instance(tmp_path, temp=str(left.parent.parent)).write()
        assert list(Path(make_temp(tmp_path, Instance.read(tmp_path).temp)).iterdir()) == []


@pytest.mark.parametrize("name", ["d" * SOCKET_PATH_LIMIT, "d:d"], ids=["long", "colon"])
def test_neither_does_one_that_was_unpacked_elsewhere_for_a_run_folder_whose_path_cannot_hold_it(name, tmp_path):
    deep = tmp_path / name
    first = Path(make_temp(deep))
    assert not first.is_relative_to(tmp_path)
    (first / "models").mkdir()
    second = Path(make_temp(deep, str(first)))
    assert second.is_dir()
    assert not first.exists()
    second.rmdir()


@pytest.mark.parametrize("devices", ["GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", "0,MIG-1", "NoDevFiles", "0, 1"])
def test_gpus_that_torchserve_could_not_read_are_refused_before_it_starts(tmp_path, monkeypatch, run_here, devices):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    make_archive(tmp_path / "store")
    code, said = run_here("serve", "--run", tmp_path / "run", "--store", tmp_path / "store", "--ports", *find_ports(5))
    assert code == 2
    assert len(said.strip().splitlines()) == 1
    assert "CUDA_VISIBLE_DEVICES=0" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("devices", ["", "0", "1,0", "-1"])
def test_gpus_by_index_or_none_are_not_refused(monkeypatch, devices):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    assert find_unreadable_gpus() == []


def test_what_a_server_leaves_whose_java_was_killed_is_ended_and_its_ports_are_free(tmp_path, store):
    ports = find_ports(5)
    left = tmp_path / "tmp" / "models" / "0123"
    left.mkdir(parents=True)
    assert run_script("serve", "--run", tmp_path, "--store", store, "--ports", *ports).returncode == 0
    assert not left.exists(), "of a server that was killed before"
    java = Instance.read(tmp_path)
    family = psutil.Process(java.pid).children(recursive=True)
    assert family
    os.kill(java.pid, signal.SIGKILL)
    wait_until(lambda: not java.running, 60, "it is gone")
    assert run_script("stop", "--run", tmp_path).returncode == 0
    wait_until(lambda: not any(map(is_alive, family)), 60, "all have ended")
    assert not find_busy(tuple(ports))
