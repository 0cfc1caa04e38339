"""A folder that is watched: what arrives is scored once it stands still, and Ctrl-C ends it well."""

import json
import sys
import threading
import time

import pytest

from lungct_tools.folder import score, watch
from lungct_tools.folder.source import Folder
from lungct_tools.server.instance import Instance, find_ports
from tests.support.calls import wait_until
from tests.support.desk import Desk, read_rows


def test_a_file_that_is_being_written_is_left_for_the_next_look(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"slice")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    now = time.time()
    for moment, names in ((now, ["gone.png"]), (now + 60, ["a.png", "gone.png"]), (now - 60, ["a.png", "gone.png"])):
        monkeypatch.setattr(watch.time, "time", lambda moment=moment: moment)
        assert [entry.name for entry in watch.Settled(Folder(tmp_path)).entries()] == names


def test_what_arrives_in_a_watched_folder_is_scored_and_nothing_twice(tmp_path, pipeline, slices, monkeypatch, capsys):
    desk, stop = Desk(pipeline), threading.Event()
    asked = []
    desk.change = lambda reply: asked.append(reply["input"]["sha256"]) if "heatmap" not in reply else None
    for name, value in {"EVERY_S": 0.1, "SETTLE_S": 0.0}.items():
        monkeypatch.setattr(watch, name, value)
    monkeypatch.setattr(score, "EVERY_S", 0.1)
    monkeypatch.setattr(score, "choose_servers", lambda args: [])
    monkeypatch.setattr(score, "Fleet", lambda servers, deadline_s: desk)
    monkeypatch.setattr(score, "stop_on_signals", lambda: stop)
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    monkeypatch.setattr(sys, "argv", ["score", str(scans), str(out), "--watch", "--format", "jsonl", "--json"])
    codes, table = [], out / "slices.csv"
    watcher = threading.Thread(target=lambda: codes.append(score.main()))
    watcher.start()
    try:
        for count, body in enumerate(slices[:3], 1):
            (tmp_path / "new").write_bytes(body)
            (tmp_path / "new").replace(scans / f"IM{count}")
            wait_until(lambda count=count: table.exists() and f"IM{count}" in table.read_text(), 120, "a row")
            assert len(read_rows(out)) == count
    finally:
        stop.set()
        watcher.join(60)
    assert codes == [0]
    assert len(asked) == len(set(asked)) == 3
    told = [json.loads(line)["slices"] for line in capsys.readouterr().out.splitlines()]
    assert told == sorted(set(told))
    assert told[-1] == 3
    assert "IM3" in (out / "summary.html").read_text()


@pytest.mark.parametrize("arguments", [["--watch"], []])
def test_an_empty_folder_is_waited_for_only_when_it_is_watched(arguments, tmp_path, monkeypatch, capsys):
    (tmp_path / "scans").mkdir()
    monkeypatch.setattr(sys, "argv", ["score", str(tmp_path / "scans"), str(tmp_path / "out"), *arguments])
    monkeypatch.setattr(score, "stop_on_signals", threading.Event)
    Instance(tmp_path, tuple(find_ports(5))).write()
    monkeypatch.setattr(score, "find_run", lambda: tmp_path)
    assert score.main() == (3 if arguments else 2)  # no server is there, which is asked for only then
    assert ("no files" in capsys.readouterr().err) == (not arguments)
