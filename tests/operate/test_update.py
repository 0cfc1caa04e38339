"""Who starts the server again when it has another archive, and what answers meanwhile."""

import errno
import fcntl
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest

from lungct_tools.operate import trial, update
from lungct_tools.proxy.record import Record
from lungct_tools.proxy.turning import HiddenError
from lungct_tools.server import deputy as deputies
from lungct_tools.server.deputy import FOLDER, RUN, find_asked, find_deputy, note
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


@pytest.fixture
def stored(server, monkeypatch):
    """The same with an archive that it serves, and another one to update to; nothing of them is ever started."""
    store, new = server.run / "store", make_archive(server.run / "new", which="new")
    make_archive(store, which="old")
    recorded = replace(server, options=("--run", str(server.run), "--store", str(store)))
    recorded.write()
    monkeypatch.setattr(sys, "argv", ["update", str(new), "--run", str(server.run)])
    return recorded


def served(instance):
    return zipfile.ZipFile(instance.store / "lung_ct.mar").read("which")


@pytest.fixture
def deputised(stored, monkeypatch):
    """The same behind a gateway, with a second server that was tried; `turned` to whom the gateway turned."""
    turned = []

    def hand_over(instance, _):
        note(instance.run, asked=True)
        turned.append(find_asked(instance))
        return True

    monkeypatch.setattr(update, "find", lambda _: Record(1, "", INF, 0))
    monkeypatch.setattr(update, "try_out", lambda *_: True)
    monkeypatch.setattr(update, "hand_over", hand_over)
    monkeypatch.setattr(update, "hand_back", lambda instance: (note(instance.run, False), turned.append(instance)))
    (stored.run / RUN).mkdir(parents=True)
    with run_stand_in(stored.run / RUN) as deputy:
        monkeypatch.setattr(update, "check_start", lambda _: None)
        yield stored, deputy, turned


def test_behind_a_gateway_a_deputy_answers_while_the_server_starts_again(deputised, monkeypatch):
    server, deputy, turned = deputised
    asked = []
    monkeypatch.setattr(update, "serve", lambda *_: asked.append(find_asked(server)) or True)
    assert update.main() == 0
    assert (asked, turned) == ([deputy], [deputy, server])
    assert not deputy.running
    assert not (server.run / FOLDER).exists()
    assert served(server) == b"new"


def test_a_server_that_starts_with_neither_archive_leaves_the_deputy_to_answer(deputised, monkeypatch, capsys):
    server, deputy, turned = deputised
    monkeypatch.setattr(update, "serve", lambda *_: False)
    assert update.main() == 4
    assert (turned, find_asked(server)) == ([deputy], deputy)
    assert "until it is, the one that was tried answers" in capsys.readouterr().err
    assert served(server) == b"old"


def test_an_archive_that_finds_no_place_brings_the_gateway_back(deputised, monkeypatch, capsys):
    server, deputy, turned = deputised

    def put(*_):
        raise OSError("no space")

    monkeypatch.setattr(update, "put", put)
    assert update.main() == 1
    assert turned == [deputy, server]
    assert server.running
    assert not deputy.running
    assert "no space; the old archive serves on" in capsys.readouterr().err


def test_a_disk_that_is_full_when_the_archive_is_put_leaves_the_old_one_and_a_sentence(deputised, monkeypatch, capsys):
    server, deputy, turned = deputised

    def fill(*_):
        def write_whole(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(deputies, "write_whole", write_whole)
        write_whole()

    monkeypatch.setattr(update, "hand_back", trial.hand_back)
    monkeypatch.setattr(trial, "wait_turned", lambda _, place: turned.append(place))
    monkeypatch.setattr(update, "put", fill)
    assert update.main() == 1
    assert turned == [deputy, server.run]
    assert not deputy.running
    assert "No space left on device; the old archive serves on" in capsys.readouterr().err


def test_a_disk_that_is_full_before_anything_is_tried_is_told_in_a_sentence(stored, monkeypatch, capsys):
    def write_whole(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(deputies, "write_whole", write_whole)
    assert update.main() == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not (stored.run / FOLDER).exists()


def test_an_old_archive_that_finds_no_place_any_more_leaves_the_deputy_to_answer(deputised, monkeypatch, capsys):
    server, deputy, turned = deputised
    puts = []

    def put(*_):
        puts.append(_)
        if len(puts) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(update, "put", put)
    monkeypatch.setattr(update, "serve", lambda *_: False)
    assert update.main() == 4
    assert (turned, find_asked(server)) == ([deputy], deputy)
    said = capsys.readouterr().err
    assert "lung_ct.mar.previous" in said
    assert "No space left on device" in said


@pytest.mark.parametrize("where", ["seen", "hidden"])
def test_a_deputy_that_nginx_is_not_done_with_is_left_to_the_gateway(deputised, monkeypatch, capsys, where):
    server, deputy, _ = deputised

    def list_asked(_):
        if where == "hidden":
            raise HiddenError("nginx has a capability")
        return {server.run, deputy.run}

    monkeypatch.setattr(update, "list_asked", list_asked)
    monkeypatch.setattr(update, "serve", lambda *_: True)
    assert update.main() == 0
    assert deputy.running
    assert not find_deputy(server.run).asked
    assert "ends it then" in capsys.readouterr().err


def test_a_gateway_that_turns_to_no_other_server_leaves_the_one_that_serves(deputised, monkeypatch, capsys):
    server, deputy, _ = deputised
    monkeypatch.setattr(update, "hand_over", lambda *_: False)
    assert update.main() == 1
    assert server.running
    assert not deputy.running
    assert served(server) == b"old"
    assert "The old archive serves on" in capsys.readouterr().err


def test_an_update_finds_room_or_is_refused_at_once(stored, monkeypatch, capsys):
    monkeypatch.setattr("lungct_tools.server.memory.find_free", lambda: 1000)
    assert update.main() == 1
    assert "too little memory for two servers" in capsys.readouterr().err
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
    assert not server.running
    assert (len(served), reason) == ((1, None) if itself else (0, "nobody started it"))
