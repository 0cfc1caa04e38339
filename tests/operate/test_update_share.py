"""A canary or shadow: when it may begin, and what of a second server is left until it is promoted or taken back."""

import errno
import sys
from dataclasses import replace

import pytest

from lungct_tools.operate import stop, trial, update
from lungct_tools.proxy import turning
from lungct_tools.proxy.record import Record
from lungct_tools.server import deputy as deputies
from lungct_tools.server.deputy import FOLDER, RUN, SHARE, Deputy, Route, find_deputy, find_route, is_divided, note
from tests.support.standins import make_archive, run_stand_in


@pytest.fixture
def run(stored, monkeypatch, capsys):
    """Run `lungct update` with a gateway, if told so: exit code and standard error; what is tried works."""
    monkeypatch.setattr(update, "try_out", lambda *_: True)
    monkeypatch.setattr(trial, "wait_turned", lambda *_: True)

    def call(*words, gateway=True):
        monkeypatch.setattr(update, "find", lambda _: Record(1, "", 60, 0) if gateway else None)
        monkeypatch.setattr(sys, "argv", ["update", *map(str, words), "--run", str(stored.run)])
        return update.main(), capsys.readouterr().err

    return call


@pytest.fixture
def divided(stored):
    """A canary that is under way, whose update has ended: the second server."""
    note(stored.run, asked=False, percent=10)
    Deputy(False, 2**22 + 1, "another boot", 10).write(stored.run)
    (stored.run / RUN).mkdir(mode=0o700)
    make_archive(stored.run / FOLDER, which="new")
    with run_stand_in(stored.run / RUN) as second:
        yield second


@pytest.mark.parametrize("words", [("--canary", "10%"), ("--shadow",)])
def test_it_needs_a_gateway_and_says_so(stored, run, words):
    code, said = run(stored.run / "new" / "lung_ct.mar", *words, gateway=False)
    assert (code, "needs a running gateway" in said, find_deputy(stored.run)) == (1, True, None)


def test_its_server_is_left_to_answer_its_share(stored, run):
    assert run(stored.run / "new" / "lung_ct.mar", "--canary", "2.5%")[0] == 0
    assert find_deputy(stored.run).percent == 2.5
    assert not find_deputy(stored.run).shadow


@pytest.mark.parametrize(("words", "share"), [((), 10), (("100%",), 100)])
def test_the_server_of_a_shadow_is_left_to_score_copies(stored, run, words, share):
    assert run(stored.run / "new" / "lung_ct.mar", "--shadow", *words)[0] == 0
    assert (find_deputy(stored.run).percent, find_deputy(stored.run).shadow) == (share, True)


def test_a_gateway_that_divides_nothing_leaves_no_second_server(stored, run, monkeypatch):
    monkeypatch.setattr(trial, "wait_turned", lambda *_: False)
    code, said = run(stored.run / "new" / "lung_ct.mar", "--canary", "10%")
    assert (code, "the gateway divides nothing" in said) == (1, True)
    assert not (stored.run / FOLDER).exists()


def test_a_route_leads_to_both_while_the_second_server_runs(stored, divided):
    assert find_route(stored) == Route(stored, divided, 10)
    assert find_route(stored).place == stored.run / FOLDER
    turning.relieve(stored, ready=True)
    assert divided.running, "nobody has to stay for it"
    canary = find_route(stored)
    note(stored.run, asked=False, percent=10, shadow=True)
    assert find_route(stored) == Route(stored, divided, 10, shadow=True)
    assert not find_route(stored).leads_as(canary)
    deputies.dismiss(stored.run)
    assert find_route(stored) == Route(stored)


@pytest.mark.parametrize("share", ["", "nan", "-1", "101", "ten"])
def test_a_share_that_is_none_is_not_believed(stored, divided, share):
    (stored.run / SHARE).write_text(share)
    assert find_route(stored) == Route(stored)
    assert not is_divided(stored.run)


def test_while_it_is_under_way_no_other_update_begins(stored, divided, run):
    for kind in ("canary", "shadow"):
        note(stored.run, asked=False, percent=10, shadow=kind == "shadow")
        for words in ((), ("--canary", "20%"), ("--shadow",)):
            code, said = run(stored.run / "new" / "lung_ct.mar", *words)
            assert (code, f"a {kind} is under way" in said) == (1, True)
    assert divided.running
    assert find_deputy(stored.run).percent == 10


@pytest.mark.parametrize("gateway", [True, False])
def test_taken_back_it_ends_with_or_without_a_gateway(stored, divided, run, gateway):
    assert run("--back", gateway=gateway) == (0, "")
    assert not divided.running
    assert not (stored.run / FOLDER).exists()
    assert stored.running


def test_it_is_taken_back_on_a_full_disk_and_beside_a_server_that_is_gone(stored, divided, run, monkeypatch):
    def write_whole(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    replace(stored, pid=0).write()
    monkeypatch.setattr(deputies, "write_whole", write_whole)
    assert run("--back") == (0, "")
    assert not (stored.run / FOLDER).exists()


def test_taken_back_it_is_ended_by_the_update_and_not_by_the_gateway_as_well(stored, divided, run, monkeypatch):
    seen = []
    monkeypatch.setattr(trial, "wait_turned", lambda *_: seen.append(find_deputy(stored.run).orphaned))
    assert run("--back") == (0, "")
    assert seen == [False]


def test_promoted_its_archive_takes_the_place(stored, divided, run, monkeypatch):
    monkeypatch.setattr(update, "check_ready", lambda _: None)
    monkeypatch.setattr(update, "restart", lambda *_: None)
    monkeypatch.setattr(update, "hand_over", lambda instance, _: note(instance.run, asked=True) or True)
    tried = (stored.run / FOLDER / "lung_ct.mar").read_bytes()
    assert run("--promote")[0] == 0
    assert (stored.store / "lung_ct.mar").read_bytes() == tried
    assert not divided.running
    assert not (stored.run / FOLDER).exists()


def test_what_cannot_be_promoted_goes_on_as_a_canary(stored, divided, run, monkeypatch):
    monkeypatch.setattr(update, "check_ready", lambda _: "0 of 1 workers are READY")
    assert run("--promote", gateway=False)[0] == 1
    code, said = run("--promote")
    assert (code, "0 of 1 workers are READY; `lungct update --back` ends it" in said) == (1, True)
    (stored.run / FOLDER / "lung_ct.mar").write_bytes(b"changed")
    monkeypatch.setattr(update, "check_ready", lambda _: None)
    assert run("--promote")[0] == 2
    assert divided.running
    assert find_deputy(stored.run).percent == 10


def test_where_none_is_under_way_nothing_is_promoted(stored, run):
    code, said = run("--promote")
    assert (code, "no canary or shadow is under way" in said) == (2, True)


def test_stop_ends_it_as_well(stored, divided, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stop", "--run", str(stored.run)])
    assert stop.main() == 0
    assert not divided.running
    assert not stored.running


@pytest.mark.parametrize(
    "words",
    [
        ["--canary", "10%"],
        ["--shadow"],
        ["lung_ct.mar", "--canary", "10%", "--shadow"],
        ["lung_ct.mar", "--shadow", "101%"],
        ["--promote", "--back"],
        ["lung_ct.mar", "--promote"],
        *(["lung_ct.mar", "--canary", share] for share in ("0%", "100%", "0.001%", "nan", "some")),
    ],
)
def test_options_that_say_nothing_together_are_refused(monkeypatch, words):
    monkeypatch.setattr(sys, "argv", ["update", *words])
    with pytest.raises(SystemExit, match="2"):
        update.main()
