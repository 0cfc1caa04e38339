"""The parts of a scoring run, without a server: journal, order of work, what is scored again, meter."""

import os
import threading

import pytest

from lungct_client import Local, RefusedError, ServerDown
from lungct_tools.folder.fleet import Fleet
from lungct_tools.folder.journal import Journal, JournalError
from lungct_tools.folder.meter import Meter
from lungct_tools.folder.naming import printable
from lungct_tools.folder.record import describe_file, write_csv
from lungct_tools.folder.scoring import Order, run_ordered
from lungct_tools.folder.source import Folder
from tests.support.rows import CLASSES, make_row


def test_a_torn_last_line_is_cut_off_and_nothing_else(tmp_path):
    path = tmp_path / "slices.jsonl"
    with Journal(path) as journal:
        journal.append(make_row("a"))
        journal.append(make_row("b"))
    whole = path.read_bytes()
    for cut in range(len(whole.splitlines()[0]) + 2, len(whole)):
        path.write_bytes(whole[:cut])
        with Journal(path) as journal:
            assert [found["file"] for found in journal.rows()] == ["a"]
            journal.append(make_row("b"))
        assert path.read_bytes() == whole
    path.write_bytes(whole[:5] + b"\n" + whole)
    with pytest.raises(JournalError, match="line 1"):
        list(Journal(path).rows())


def test_rows_are_kept_at_their_places_and_the_others_go_aside(tmp_path):
    with Journal(tmp_path / "slices.jsonl") as journal:
        a, b, c = (journal.append(make_row(name)) for name in "abc")
        before = journal.path.read_bytes()
        assert journal.arrange([a, b, c]) == 0
        assert journal.path.read_bytes() == before
        assert not journal.aside.exists()
        assert journal.arrange([c, a, a]) == 1
        assert [row["file"] for row in journal.rows()] == ["c", "a", "a"]
        assert journal.read(journal.append(make_row("d")))["file"] == "d"
    assert [row["file"] for row in Journal(journal.aside).rows()] == ["b"]


def test_a_run_that_was_begun_otherwise_does_not_go_on(tmp_path):
    order = Order("none", None, False, CLASSES, "1")
    order.keep(tmp_path / "run.json", resume=True)
    order.keep(tmp_path / "run.json", resume=True)
    with pytest.raises(JournalError, match="window"):
        Order("none", "-600,1500", False, CLASSES, "1").keep(tmp_path / "run.json", resume=True)
    for damaged in ('{"heatmap": "no', "[1]"):
        (tmp_path / "run.json").write_text(damaged)
        with pytest.raises(JournalError, match="run.json is damaged"):
            order.keep(tmp_path / "run.json", resume=True)


def test_rows_come_in_order_and_stopping_keeps_a_prefix():
    stop, later = threading.Event(), threading.Event()

    def work(name):
        if name == "0":
            later.wait(60)
        elif name == "1":
            later.set()
        return {"file": name}

    names = [str(number) for number in range(50)]
    found = []
    for each in run_ordered(work, names, 4, stop):
        found.append(each["file"])
        if len(found) == 10:
            stop.set()
    assert found == names[: len(found)]
    assert 10 <= len(found) <= 18  # at most 2 x 4 were in flight


def test_a_failing_server_ends_the_run_after_the_rows_before_it():
    def work(name):
        if name == "7":
            raise ServerDown("gone")
        return {"file": name}

    found = []
    rows = run_ordered(work, (str(number) for number in range(50)), 4, threading.Event())
    with pytest.raises(ServerDown):
        found.extend(each["file"] for each in rows)
    assert found == [str(number) for number in range(7)]


def test_the_meter_counts_rates_refusals_and_time_left_without_what_was_done_before():
    now, tallies = [0.0], {"a": 5, "b[x]": 0}
    meter = Meter(1000, tallies, clock=lambda: now[0])
    for _ in range(400):
        meter.advance(fresh=False)
    for number in range(100):
        now[0] += 0.1
        tallies["a" if number % 5 else "b[x]"] += 1
        meter.advance(refused=number % 50 == 0)
    assert meter.rate == pytest.approx(10)
    assert meter.describe() == "500 of 1,000 slices, 10/s (a 8, b[x] 2), 2 refused, 0:50 left"
    assert Meter(10, {"a": 0}, clock=lambda: 0).describe() == "0 of 10 slices, 0/s, 0:00 left"


def test_file_names_that_are_no_text_survive(tmp_path):
    name = os.fsdecode(b"bad-\xff.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(b"junk")
    source = Folder(tmp_path / "in")
    (found,) = source.entries()
    assert source.read(found) == b"junk"
    described = describe_file(found.name, b"junk")
    with (tmp_path / "out.csv").open("w", encoding="utf-8") as file:
        write_csv([{**described, "error": "x"}], CLASSES, file, {})
    assert printable(name) == described["file"]
    assert "bad-" in (tmp_path / "out.csv").read_text()


def test_fleet_tells_a_refusal_at_once(monkeypatch, tmp_path):
    fleet = Fleet([Local(tmp_path), Local(tmp_path)], deadline_s=5)

    def refuse(body, **options):
        raise RefusedError(422, "corrupt_image", "No.", None)

    for client in fleet.clients:
        monkeypatch.setattr(client, "predict", refuse)
    with pytest.raises(RefusedError):
        fleet.predict(b"x")
    assert sum(fleet.tallies.values()) == 1
