"""Who starts the server again when it has another archive."""

import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest

from lungct_tools.operate import update
from lungct_tools.proxy.record import Record
from lungct_tools.server.seal import find_seal, fits
from tests.support.standins import make_archive, run_stand_in

INF = float("inf")


@pytest.fixture
def server(tmp_path):
    """A process that passes for TorchServe."""
    with run_stand_in(tmp_path, options=("--run", str(tmp_path))) as instance:
        yield instance


def test_a_server_that_was_started_again_during_the_trial_is_the_one_that_is_ended(server, monkeypatch):
    monkeypatch.setattr(update, "find", lambda _: Record(1, "", 60, 0))
    gone = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    gone.wait()
    assert update.restart(replace(server, pid=gone.pid), deadline_s=0.3) == "nobody started it"
    assert not server.running


def test_an_archive_that_is_not_ready_in_its_place_makes_room_for_the_old_one(server, monkeypatch, tmp_path, capsys):
    store, new = tmp_path / "store", make_archive(tmp_path / "new", which="new")
    make_archive(store, which="old")
    replace(server, options=("--run", str(tmp_path), "--store", str(store))).write()
    held = []

    def serve(*_):
        held.append(zipfile.ZipFile(store / "lung_ct.mar").read("which").decode())
        return held[-1] == "old"

    monkeypatch.setattr(update, "try_out", lambda *_: True)
    monkeypatch.setattr(update, "serve", serve)
    monkeypatch.setattr(sys, "argv", ["update", str(new), "--run", str(tmp_path)])
    assert update.main() == 4
    assert held == ["new", "old"]
    assert fits(store / "lung_ct.mar")
    assert not fits(store / "lung_ct.mar.previous", find_seal(store / "lung_ct.mar"))
    assert fits(store / "lung_ct.mar.previous")
    assert "The old one is back and serves again" in capsys.readouterr().err


def test_a_seal_that_cannot_be_written_leaves_the_archive_that_is_there(tmp_path):
    """On a full disk, or where the seal is kept out of reach: else the next start would find it changed."""
    old, new = make_archive(tmp_path / "store", which="old"), make_archive(tmp_path / "new", which="new")
    kept = tmp_path / "nowhere" / "lung_ct.mar.sha256"
    with pytest.raises(OSError, match="nowhere"):
        update.put(new, old.parent, kept)
    assert fits(old)
    assert zipfile.ZipFile(old).read("which") == b"old"


@pytest.mark.parametrize(
    ("gateway", "itself"),
    [
        (None, True),
        (Record(1, "", INF, 0), True),  # its watchdog is off
        (Record(1, "", 60, 0), False),
        (Record(1, "", INF, 0, supervised=True), False),
        (Record(1, "", 60, 0, supervised=True), False),
    ],
)
def test_an_update_starts_the_server_itself_where_nobody_else_would(server, monkeypatch, gateway, itself):
    served = []
    monkeypatch.setattr(update, "find", lambda _: gateway)
    monkeypatch.setattr(update, "serve", lambda *options: served.append(options) or True)
    reason = update.restart(server, deadline_s=0.3)
    assert not server.running
    assert (len(served), reason) == ((1, None) if itself else (0, "nobody started it"))
