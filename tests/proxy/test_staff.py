"""A server that starts again has as many workers as its operator asked for."""

import zipfile

import pytest

from lungct_tools.proxy import staff
from lungct_tools.server.instance import Instance


class Server:
    """TorchServe as far as workers go; also a client of it."""

    def __init__(self, store):
        self._store, self.workers, self.instance = store, 0, Instance(store)

    def start(self, settled):
        """Another process, from an archive with these settings."""
        with zipfile.ZipFile(self._store / "lung_ct.mar", "w") as archive:
            archive.writestr("model-config.yaml", f"minWorkers: {settled}")
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
