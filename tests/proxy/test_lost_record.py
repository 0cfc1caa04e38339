"""A server whose record was removed while it runs: a cleaner of old files, or a hand, must not cost its callers."""

import json
import os
import shutil
import signal

import pytest

from lungct_tools.proxy.keys import write_clients
from lungct_tools.proxy.nginx import Nginx
from lungct_tools.proxy.record import Record, find, find_guard
from lungct_tools.proxy.supervisor import Supervisor
from lungct_tools.server.instance import Instance
from lungct_tools.server.serve import answers
from lungct_tools.server.shutdown import stop
from tests.support.calls import wait_found, wait_until
from tests.support.gateways import open_gateway, skip_without_nginx
from tests.support.standins import run_stand_in

pytestmark = pytest.mark.ops


def test_a_server_whose_record_was_removed_is_recorded_again_and_one_that_was_stopped_is_not(tmp_path, capsys):
    record = tmp_path / "instance.json"
    with run_stand_in(tmp_path, options=("--run", str(tmp_path))) as instance:
        nginx = Nginx(instance, tmp_path / "gateway", "127.0.0.1:1", tmp_path, None, None, 1, tmp_path)
        supervisor = Supervisor(nginx, Record(1, "", 60, 0), guarded=False)
        record.unlink()
        assert supervisor._read_instance() == instance
        assert Instance.read(tmp_path) == instance
        assert f"{record} was gone while the server runs" in capsys.readouterr().out
        assert stop(instance)
        assert not supervisor._read_instance().running
        assert not record.exists()


def test_a_run_folder_that_was_removed_whole_has_its_record_again(tmp_path):
    """Its keys are gone, which is no reason to end: the watchdog starts a server that lacks its canary once more."""
    run = tmp_path / "run"
    run.mkdir()
    with run_stand_in(run, options=("--run", str(run))) as instance:
        nginx = Nginx(instance, run / "gateway", "127.0.0.1:1", tmp_path, None, None, 1, tmp_path)
        supervisor = Supervisor(nginx, Record(1, "", 60, 0), guarded=False)
        shutil.rmtree(run)
        assert supervisor._read_instance() == instance
        assert Instance.read(run) == instance
        assert all(supervisor._check(instance)), "neither ready nor well"
        supervisor._tend(instance, ready=False)


def test_a_gateways_folder_that_was_removed_is_there_again_with_all_that_stands_in_it(tmp_path):
    skip_without_nginx()
    with run_stand_in(tmp_path) as server:
        server.keys.write_text(json.dumps({"inference": {"key": "k"}}))
        write_clients(tmp_path / "clients.map", {})
        with open_gateway(server, (), "--patience", "inf") as door:
            wait_found(lambda: find_guard(server.run), 60, "its guard")
            shutil.rmtree(server.run / "gateway")
            wait_found(lambda: find_guard(server.run), 60, "another guard")
            assert find(server.run)
            assert door.ask("GET", "/readyz").status_code == 503
            os.kill(find(server.run).pid, signal.SIGKILL)
            wait_found(lambda: find(server.run), 60, "another supervisor, by the same options")
            wait_until(lambda: answers("127.0.0.1", door.port), 60, "another nginx")
