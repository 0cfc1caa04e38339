"""An update behind a gateway: a deputy answers while the server starts again, and whatever goes wrong then."""

import errno
import zipfile

import pytest

from lungct_tools.operate import trial, update
from lungct_tools.proxy.record import Record
from lungct_tools.proxy.turning import HiddenError
from lungct_tools.server import deputy as deputies
from lungct_tools.server.deputy import FOLDER, RUN, find_asked, find_deputy, note
from tests.support.standins import run_stand_in

INF = float("inf")


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
        monkeypatch.setattr(update, "check_start", lambda *_: None)
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
