"""The parts of a scoring run, without a server: sources, journal, order, series, meter."""

import os
import threading
import zipfile

import pytest

from lungct_client import Local, RefusedError, ServerDown
from lungct_tools.folder.fleet import Fleet
from lungct_tools.folder.journal import Journal, JournalError
from lungct_tools.folder.meter import Meter
from lungct_tools.folder.record import describe_file, write_csv
from lungct_tools.folder.rollup import add_up
from lungct_tools.folder.scoring import Order, run_ordered, skip_done
from lungct_tools.folder.source import Archive, SourceError, UnreadableError, open_source

CLASSES = ("Normal", "Benign", "Malignant")


def row(name, malignant=0.1, label="Normal", decision="report", series="s", error=""):
    if error:
        return {"file": name, "study": "", "series": series, "error": error, "message": "No."}
    shares = {"Normal": 0.9 - malignant, "Benign": 0.1, "Malignant": malignant}
    scored = {"label": label, "confidence": 0.9, "probabilities": shares, "decision": decision, "warnings": []}
    return {"file": name, "study": "", "series": series, **scored}


def test_a_torn_last_line_is_cut_off_and_nothing_else(tmp_path):
    path = tmp_path / "slices.jsonl"
    with Journal(path) as journal:
        journal.append(row("a"))
        journal.append(row("b"))
    whole = path.read_bytes()
    for cut in range(len(whole.splitlines()[0]) + 2, len(whole)):
        path.write_bytes(whole[:cut])
        with Journal(path) as journal:
            assert [found["file"] for found in journal.rows()] == ["a"]
            journal.append(row("b"))
        assert path.read_bytes() == whole
    path.write_bytes(whole[:5] + b"\n" + whole)
    with pytest.raises(JournalError, match="line 1"):
        list(Journal(path).rows())


def test_a_run_whose_input_or_order_changed_does_not_go_on(tmp_path):
    with Journal(tmp_path / "slices.jsonl") as journal:
        journal.append(row("a"))
        journal.append(row("b"))
        assert skip_done(iter(["a", "b", "c"]), journal) == 2
        with pytest.raises(JournalError, match="changed"):
            skip_done(iter(["a", "aa", "b"]), journal)
        with pytest.raises(JournalError, match="changed"):
            skip_done(iter(["a"]), journal)
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
            later.wait(10)
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


def test_a_series_follows_its_third_most_worrying_slice():
    rows = [row("a", 0.9, "Malignant"), row("b", 0.8, "Malignant"), row("c", 0.3, "Benign"), row("d", 0.1)]
    (series,) = add_up(rows, CLASSES, 2).series
    assert (series["label"], series["suspicion"], series["peak_file"]) == ("Benign", 0.3, "a")
    assert series["decision"] == "report"
    assert [found["file"] for found in add_up(rows, CLASSES, 2).suspicious] == ["a", "b"]
    (short,) = add_up(rows[:2], CLASSES, 2).series
    assert (short["label"], short["suspicion"]) == ("Malignant", 0.9)


def test_a_series_with_a_refused_or_referred_slice_is_referred():
    for doubtful in (row("b", error="corrupt_image"), row("b", decision="refer")):
        (series,) = add_up([row("a"), doubtful], CLASSES, 2).series
        assert series["decision"] == "refer"
    (empty,) = add_up([row("b", error="corrupt_image")], CLASSES, 2).series
    assert (empty["label"], empty["decision"], empty["scored"]) == ("", "refer", 0)


def test_a_list_names_paths_relative_to_itself(tmp_path, slices):
    (tmp_path / "a.png").write_bytes(slices[0])
    (tmp_path / "list.txt").write_text("# slices\na.png\n\nmissing.png\n")
    source = open_source(tmp_path / "list.txt")
    assert list(source.names()) == ["a.png", "missing.png"]
    assert source.read("a.png") == slices[0]
    with pytest.raises(UnreadableError):
        source.read("missing.png")


def test_files_over_the_limit_are_not_read_into_memory(tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**33)
    with pytest.raises(UnreadableError) as refused:
        open_source(tmp_path / "large").read("large")
    assert refused.value.code == "too_many_bytes"
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(40 * 2**20))
    with pytest.raises(UnreadableError) as refused:
        Archive(tmp_path / "bomb.zip").read("zeros")
    assert refused.value.code == "too_many_bytes"


def test_a_zip_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x05\x06" + bytes(10))
    with pytest.raises(SourceError):
        Archive(tmp_path / "a.zip")


def test_members_and_names_of_a_damaged_zip_are_refused_and_not_raised(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("é.png", bytes(range(256)) * 16, zipfile.ZIP_LZMA)
    good = path.read_bytes()
    path.write_bytes(good[:45] + bytes(200) + good[245:])
    with pytest.raises(UnreadableError):
        Archive(path).read("é.png")
    path.write_bytes(good.replace("é".encode(), b"\xff\xff"))
    with pytest.raises(SourceError):
        Archive(path)


def test_linked_folders_are_read_once_and_links_that_lead_back_end(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("in/a.png", "in/deep/b.png", "elsewhere/c.png"):
        (tmp_path / name).write_bytes(b"junk")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "second").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "deep" / "back").symlink_to(tmp_path / "in")
    assert list(open_source(tmp_path / "in").names()) == ["a.png", "deep/b.png", "link/c.png"]


def test_a_folder_that_cannot_be_read_is_named_and_not_left_out(tmp_path):
    """One that is gone meanwhile: to root every folder is readable."""
    (tmp_path / "below").mkdir()
    (tmp_path / "a.png").write_bytes(b"junk")
    names = open_source(tmp_path).names()
    assert next(names) == "a.png"
    (tmp_path / "below").rmdir()
    with pytest.raises(SourceError, match=r"below cannot be read: No such file"):
        list(names)


def test_the_meter_counts_rate_and_time_left_without_what_was_done_before():
    now = [0.0]
    meter = Meter(1000, done=400, clock=lambda: now[0])
    for _ in range(100):
        now[0] += 0.1
        meter.advance()
    assert meter.rate == pytest.approx(10)
    assert meter.describe() == "500 of 1,000 slices, 10/s, 0:50 left"


def test_file_names_that_are_no_text_survive(tmp_path):
    name = os.fsdecode(b"bad-\xff.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(b"junk")
    source = open_source(tmp_path / "in")
    (found,) = source.names()
    assert source.read(found) == b"junk"
    described = describe_file(found, b"junk")
    with (tmp_path / "out.csv").open("w", encoding="utf-8") as file:
        write_csv([{**described, "error": "x"}], CLASSES, file)
    assert "bad-" in (tmp_path / "out.csv").read_text()


def test_fleet_tells_a_refusal_at_once(monkeypatch, tmp_path):
    fleet = Fleet([Local(tmp_path), Local(tmp_path)], deadline_s=5)

    def refuse(body, **options):
        raise RefusedError(422, "corrupt_image", "No.", None)

    for client in fleet.clients:
        monkeypatch.setattr(client, "predict", refuse)
    with pytest.raises(RefusedError):
        fleet.predict(b"x")
