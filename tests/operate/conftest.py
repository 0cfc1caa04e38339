"""A server with an archive in its store, and another one to update to."""

import sys
from dataclasses import replace

import pytest

from tests.support.standins import make_archive, run_stand_in


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A process that passes for TorchServe, and the command line of an update; nothing of them is ever started."""
    with run_stand_in(tmp_path) as server:
        store, new = tmp_path / "store", make_archive(tmp_path / "new", which="new")
        make_archive(store, which="old")
        recorded = replace(server, options=("--run", str(tmp_path), "--store", str(store)))
        recorded.write()
        monkeypatch.setattr(sys, "argv", ["update", str(new), "--run", str(tmp_path)])
        yield recorded
