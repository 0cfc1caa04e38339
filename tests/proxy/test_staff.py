"""A server that starts again has as many workers as its operator asked for."""

import pytest
import yaml

from lungct_tools import ROOT
from lungct_tools.proxy import staff
from lungct_tools.server.instance import Instance
from lungct_tools.server.modelconfig import count_most
from tests.conftest import run_script
from tests.support.standins import make_archive

SHIPPED = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())


class Server:
    """TorchServe as far as workers go; also a client of it."""

    def __init__(self, store):
        self._store, self.workers, self.instance = store, 0, Instance(store)

    def start(self, settled):
        """Another process, from an archive with these settings."""
        make_archive(self._store, yaml.safe_dump({**SHIPPED, "minWorkers": settled, "maxWorkers": settled}))
        self.instance = Instance(self._store, pid=self.instance.pid + 1, options=("--store", str(self._store)))
        self.scale(settled)

    def scale(self, workers):
        self.workers = workers

    def describe(self):
        return {"minWorkers": self.workers}


@pytest.fixture
def server(tmp_path, monkeypatch):
    server = Server(tmp_path)
    monkeypatch.setattr(staff, "Client", lambda *_, **__: server)
    return server


@pytest.mark.parametrize("gateway_is_first", [True, False])
def test_what_was_scaled_is_scaled_again_each_time(server, gateway_is_first):
    kept = staff.Staff()
    server.start(settled=1)
    if gateway_is_first:
        kept.keep(server.instance)
    server.scale(2)
    for _ in range(3):
        kept.keep(server.instance)
        assert server.workers == 2
        server.start(settled=1)


def test_settings_that_change_with_an_archive_count_where_nobody_scaled(server):
    kept = staff.Staff()
    for settled in (1, 3, 2):
        server.start(settled)
        kept.keep(server.instance)
        assert server.workers == settled


def test_an_archive_that_is_garbage_by_now_does_no_harm(server, tmp_path):
    kept = staff.Staff()
    server.start(settled=1)
    (tmp_path / "lung_ct.mar").write_bytes(b"no archive")
    kept.keep(server.instance)
    assert server.workers == 1


def test_more_workers_than_the_machine_can_hold_are_taken_back_whoever_asked_for_them(server, capsys):
    kept = staff.Staff()
    server.start(settled=1)
    kept.limit(server.instance)
    assert server.workers == 1
    server.scale(9999)  # TorchServe's management takes any number
    kept.limit(server.instance)
    assert server.workers == count_most()
    assert f"9999 workers were asked for, and {count_most()} are the most" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [-1, 9999])
def test_nor_does_our_own_command_ask_for_them(tmp_path, workers):
    refused = run_script("scale", workers, "--run", tmp_path)
    assert refused.returncode == 2
    assert f"workers must be 0 to {count_most()}" in refused.stderr
