"""What stands around a server, around the front without TorchServe: gateway, update, exporter, timeouts."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import yaml

from lungct_client import Client
from lungct_tools.server.health import check_ready
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.seal import write_seal
from lungct_tools.server.shutdown import send
from tests.conftest import run_script, serving
from tests.faults.site import change_archive, copy_archive
from tests.support.calls import post, wait_until
from tests.support.gateways import open_gateway
from tests.support.traffic import Traffic
from tests.support.units import is_alive
from tests.support.watching import exporting

pytestmark = [pytest.mark.server, pytest.mark.ops]
HANGS_S = 6


@pytest.fixture(scope="module")
def own(store, tmp_path_factory):
    """A front without TorchServe with an archive of its own, a short patience, and a gateway before it."""
    place = tmp_path_factory.mktemp("own")
    shutil.copytree(store, place / "store")

    def shorten(text):
        return yaml.safe_dump({**yaml.safe_load(text), "responseTimeout": HANGS_S}).encode()

    change_archive(place / "store" / "lung_ct.mar", {"model-config.yaml": shorten})
    with serving(place / "store", place / "run", "--front", "asgi") as instance, open_gateway(instance) as door:
        wait_until(lambda: door.ask("GET", "/readyz").status_code == 200, 120, "the gateway finds it")
        yield instance, door


def test_an_update_behind_a_gateway_loses_no_request(own, slices, tmp_path):
    instance, door = own
    version = Client(instance).describe()["modelVersion"]
    renamed = copy_archive(instance.store, tmp_path, {"model.json": lambda text: text})
    with Traffic(door.client(deadline_s=0, timeout_s=90), slices, 4) as traffic:
        wait_until(lambda: traffic.answered > 8, 60, "traffic flows")
        updated = run_script("update", renamed, "--run", instance.run)
        before = traffic.answered
        wait_until(lambda: traffic.answered > before + 8, 60, "traffic flows on")
    assert updated.returncode == 0, updated.stderr
    assert not traffic.failures()
    after = Instance.read(instance.run)
    assert after.pid != instance.pid
    assert (after.front, after.options) == ("asgi", instance.options)
    assert Client(after).describe()["modelVersion"] == version


def test_a_worker_that_hangs_is_given_up_after_the_timeout_and_another_one_answers(own, slices):
    instance = Instance.read(own[0].run)
    client = Client(instance, deadline_s=90)
    victim = client.describe()["workers"][0]["pid"]
    os.kill(victim, signal.SIGSTOP)
    answer = post(instance, slices[0])
    assert (answer.status_code, answer.json()["message"]) == (500, "Worker died.")
    assert answer.elapsed.total_seconds() < HANGS_S + 5
    assert client.predict(slices[0])["label"]
    assert not psutil.pid_exists(victim)


def test_the_exporter_tells_of_workers_queue_and_memory_by_part(own, tmp_path):
    instance = Instance.read(own[0].run)
    with exporting(instance.run, tmp_path, find_ports(1)[0]) as page:
        wait_until(lambda: page.value("lung_ct_ready") == 1, 120, "ready")
        parts = {labels["part"]: value for labels, value in page.read()["lung_ct_server_memory_bytes"]}
        assert page.value("lung_ct_workers_ready") == page.value("lung_ct_gateway_up") == 1
        assert page.value("lung_ct_queue_capacity") == 200
    worker = Client(instance).describe()["workers"][0]
    assert parts["worker"] == pytest.approx(worker["memoryUsage"], rel=0.2)
    assert parts["front"] == pytest.approx(psutil.Process(instance.pid).memory_info().rss, rel=0.2)
    assert parts["java"] == 0


def test_a_model_that_does_not_load_ends_the_start_with_the_reason(store, tmp_path):
    (tmp_path / "bad").mkdir()
    copy_archive(store, tmp_path / "bad", {"model.json": lambda text: text.replace(b"lung_ct", b"lung_cs", 1)})
    (tmp_path / "bad" / "candidate.mar").rename(tmp_path / "bad" / "lung_ct.mar")
    write_seal(tmp_path / "bad" / "lung_ct.mar")
    place = ("--run", tmp_path / "run", "--store", tmp_path / "bad", "--ports", *find_ports(5))
    started = run_script("serve", "--front", "asgi", *place)
    assert started.returncode == 1, started.stderr
    assert "not ready: the model does not load" in started.stderr
    assert "ModelFolderError" in started.stderr
    assert "Traceback" not in started.stderr
    assert not Instance.read(tmp_path / "run").running


def test_what_is_in_flight_is_answered_before_the_server_ends(own, slices):
    instance = Instance.read(own[0].run)
    described = Client(instance).describe()
    held, pid = described["batchSize"], described["workers"][0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(2 * held) as pool:
        asked = [pool.submit(post, instance, slices[0]) for _ in range(2 * held)]
        wait_until(lambda: Client(instance).describe()["jobQueueStatus"]["pendingRequests"] >= held, 60, "all wait")
        assert send(instance, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        assert {each.result().status_code for each in asked} == {200}
    wait_until(lambda: not instance.running, 60, "it ends")
    wait_until(lambda: Instance.read(instance.run).running, 90, "the watchdog starts another one")
    wait_until(lambda: check_ready(Instance.read(instance.run)) is None, 120, "it is ready")


def test_a_killed_front_leaves_no_worker(own):
    instance = Instance.read(own[0].run)
    family = psutil.Process(instance.pid).children(recursive=True)
    assert family
    os.kill(instance.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, family)), 60, "all ended")
    wait_until(lambda: Instance.read(instance.run).pid not in (0, instance.pid), 90, "the watchdog starts another one")
