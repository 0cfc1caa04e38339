"""Who starts the server again when it has another archive, and what answers meanwhile."""

import fcntl
import subprocess
import sys
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import pytest

from lungct_tools.operate import update
from lungct_tools.proxy.record import Record
from lungct_tools.proxy.turning import HiddenError
from lungct_tools.server.deputy import RUN, find_deputy, note
from lungct_tools.server.seal import find_seal, fits
from tests.support.calls import wait_until
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
    wait_until(lambda: not server.running, 60, "it is ended")


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


def test_an_update_finds_room_or_is_refused_at_once(stored, monkeypatch, capsys):
    monkeypatch.setattr("lungct_tools.server.room.find_free", lambda: 1000)
    assert update.main() == 1
    assert "too little memory for two servers" in capsys.readouterr().err
    assert find_deputy(stored.run) is None


def test_an_update_finds_room_on_the_disk_or_says_how_much_is_missing(stored, monkeypatch, capsys):
    monkeypatch.setattr("lungct_tools.server.room.shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    assert update.main() == 1
    assert f"too little room on the disk of {stored.run}" in capsys.readouterr().err
    assert find_deputy(stored.run) is None


def test_a_second_update_at_the_same_time_is_refused(stored, capsys):
    with (stored.run / "update.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert update.main() == 1
    assert "another update is under way" in capsys.readouterr().err


def test_a_deputy_that_has_to_answer_is_not_ended_by_the_next_update(stored, monkeypatch, capsys):
    note(stored.run, asked=True)
    monkeypatch.setattr(update, "find_guard", lambda _: 1)  # its gateway is about to be there again
    assert update.main() == 1
    assert find_deputy(stored.run).asked
    assert "try again then" in capsys.readouterr().err


def test_a_deputy_that_no_gateway_asks_makes_room_for_the_next_update(stored, monkeypatch):
    note(stored.run, asked=True)
    monkeypatch.setattr(update, "try_out", lambda *_: True)
    monkeypatch.setattr(update, "change", lambda *_: int(find_deputy(stored.run).asked))
    assert update.main() == 0


def test_a_deputy_that_nginx_is_not_done_with_is_not_ended_by_the_next_update(stored, monkeypatch, capsys):
    note(stored.run, asked=False)
    monkeypatch.setattr(update, "list_asked", lambda _: {stored.run, stored.run / RUN})
    assert update.main() == 1
    assert find_deputy(stored.run)
    assert "try again then" in capsys.readouterr().err


def test_an_nginx_that_hides_whom_it_asks_is_told_of_before_anything_starts(stored, monkeypatch, capsys):
    def list_asked(_):
        raise HiddenError("nginx has a capability")

    monkeypatch.setattr(update, "list_asked", list_asked)
    assert update.main() == 1
    assert "nginx has a capability; the old archive serves on" in capsys.readouterr().err
    assert find_deputy(stored.run) is None


def test_going_back_serves_the_archive_of_before_and_needs_one(stored, monkeypatch, capsys):
    tried = []
    monkeypatch.setattr(update, "try_out", lambda *_: True)
    monkeypatch.setattr(update, "change", lambda _, archive, __: tried.append(archive.read_bytes()) or 0)
    monkeypatch.setattr(sys, "argv", ["update", "--back", "--run", str(stored.run)])
    assert update.main() == 2
    assert "no update has changed the archive yet" in capsys.readouterr().err
    update.put(make_archive(stored.run / "new", which="new"), stored.store, stored.seal)
    assert update.main() == 0
    assert tried == [(stored.store / "lung_ct.mar.previous").read_bytes()]
    assert "the archive of before serves" in capsys.readouterr().out


def test_going_back_where_no_server_was_started_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["update", "--back", "--run", str(tmp_path)])
    assert update.main() == 3
    assert "no server runs" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [[], ["lung_ct.mar", "--back"]])
def test_an_update_is_to_an_archive_or_back(monkeypatch, words):
    monkeypatch.setattr(sys, "argv", ["update", *words])
    with pytest.raises(SystemExit, match="2"):
        update.main()


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
    wait_until(lambda: not server.running, 60, "it is ended")
    assert (len(served), reason) == ((1, None) if itself else (0, "nobody started it"))
