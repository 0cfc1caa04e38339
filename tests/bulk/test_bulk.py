"""A bulk run: the rows of `score`, each file once, whatever is stopped, killed, broken or mixed up on the way."""

import csv
import os
import signal
import subprocess
import threading
from collections import Counter

import pyarrow.parquet as pq
import pytest

from lungct_tools import ROOT
from lungct_tools.bulk import parts as parts_module
from lungct_tools.bulk.core import BrokenError, Core
from lungct_tools.bulk.listing import list_series
from lungct_tools.bulk.manifest import Manifest, write_manifest
from lungct_tools.bulk.parts import Parts
from lungct_tools.bulk.plan import Plan
from lungct_tools.bulk.scoring import score_shard
from lungct_tools.bulk.shard import Shard
from lungct_tools.commandline import compose
from lungct_tools.folder.journal import JournalError
from lungct_tools.folder.rollup import add_up, add_up_groups
from lungct_tools.folder.scoring import Order, Run
from lungct_tools.folder.source import Folder
from lungct_tools.phantom.series import draw_volume
from tests.support.calls import wait_until
from tests.support.desk import Desk, read_rows, score_folder
from tests.support.rows import CLASSES, make_row

ORDER = Order("none", None, False, CLASSES, "1")


@pytest.fixture(scope="module")
def drawn(slices):
    """Files by name: two series, pictures with copies, what is no slice."""
    found = {f"{name}/{n}.dcm": body for name in "ab" for n, body in enumerate(draw_volume(4, size=128, name=name))}
    found |= {f"pictures/{number}.png": slices[number % 4] for number in range(6)}
    found |= {"pictures/empty.png": b"", "pictures/junk": b"\x93junk", "pictures/request.json": b'{"data": ""}'}
    found |= {"pictures/protocol.json": b'{"inputs": []}'}
    return found | {"pictures/cut.dcm": found["a/0.dcm"][:-900], os.fsdecode(b"pictures/odd-\xff.png"): slices[0]}


@pytest.fixture
def scans(tmp_path, drawn):
    """A folder of 21 files; one is a pipe, which nobody writes to."""
    root = tmp_path / "scans"
    for name, body in drawn.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(body)
    os.mkfifo(root / "pictures" / "pipe.dcm")
    return root


@pytest.fixture
def manifest(scans, tmp_path):
    write_manifest(list_series(Folder(scans), 1), scans, tmp_path / "manifest")
    return Manifest(tmp_path / "manifest")


def score(manifest, out, core, count=1, only=None, stop=None):
    """Score the shards `only`, or all, one after the other; the parts."""
    parts = Parts(out, manifest, count)
    run = Run(manifest, parts, core, ORDER, 1, stop or threading.Event())
    for index in range(count) if only is None else only:
        assert (score_shard(run, parts, Shard(index, count)) is None) == run.stop.is_set()
    return parts


def lines(path):
    return sorted(path.read_bytes().splitlines())


@pytest.fixture
def _own_signals():
    """A command that runs in this process takes its signals; they are given back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.server
@pytest.mark.usefixtures("_own_signals")
def test_rows_tables_and_series_are_those_of_score_to_the_byte(server, manifest, scans, tmp_path, run_here):
    served, out = tmp_path / "served", tmp_path / "out"
    assert run_here("score", scans, served, "--run", server.run)[0] == 1
    for index in range(2):
        assert run_here("bulk", "run", manifest.path, out, "--shard", f"{index}/2") == (0, "")
    assert run_here("bulk", "gather", out) == (1, "")
    written = [line for path in (out / "parts").rglob("*.jsonl") for line in path.read_bytes().splitlines()]
    assert sorted(written) == lines(served / "slices.jsonl")
    for name in ("slices.csv", "series.csv"):
        ours, theirs = (list(csv.DictReader((folder / name).open())) for folder in (out, served))
        # whatever file is the first, its line tells of the model
        told = [[line.pop("about_model") for line in table] for table in (ours, theirs)]
        assert told[0] == told[1]
        assert told[0][0]
        assert sorted(map(tuple, map(dict.items, ours))) == sorted(map(tuple, map(dict.items, theirs)))
    ours, theirs = (pq.read_table(folder / "slices.parquet").sort_by("file") for folder in (out, served))
    assert ours == theirs
    assert "data:image/jpeg" in (out / "summary.html").read_text()


def test_every_file_has_one_row_and_each_refusal_its_sentence(manifest, core, pipeline, scans, tmp_path):
    parts = score(manifest, tmp_path / "out", core, 3)
    rows = list(parts.rows())
    score_folder(scans, tmp_path / "desk", Desk(pipeline))
    expected = {row["file"]: row for row in read_rows(tmp_path / "desk")}
    assert {row["file"]: row for row in rows} == expected
    assert len(rows) == manifest.header.files == 21
    assert Counter(row["error"] for row in rows if "error" in row) == {
        "unreadable_file": 1, "empty_body": 2, "unsupported_format": 1, "corrupt_image": 1, "bad_option": 1
    }  # fmt: skip
    assert (parts.find_missing(), parts.strayed) == ([], 0)


def test_what_stands_is_not_scored_again_and_what_was_stopped_goes_on(manifest, core, stopping, tmp_path, monkeypatch):
    monkeypatch.setattr(parts_module, "PART", 4)
    stop, asked = stopping
    parts = score(manifest, tmp_path / "out", core, stop=stop)
    assert parts.find_missing() == [0]
    standing = {path: path.stat().st_mtime_ns for path in parts.path.rglob("*.jsonl")}
    assert len(standing) >= 2
    assert not list(parts.path.rglob(".*")), "nothing half is left"
    asked.clear()
    rows = list(score(manifest, tmp_path / "out", core).rows())
    assert len(asked) <= 21 - 4 * len(standing)
    assert {path: path.stat().st_mtime_ns for path in standing} == standing
    assert rows == list(score(manifest, tmp_path / "whole", core).rows())


def test_a_killed_process_leaves_whole_parts_and_another_ends_its_shard(core, tmp_path):
    scans, out, count = tmp_path / "in", tmp_path / "out", parts_module.PART + 400
    scans.mkdir()
    for number in range(count):
        (scans / f"{number}").write_bytes(b"junk")
    write_manifest(list_series(Folder(scans), 1), scans, tmp_path / "m")
    command = compose("bulk", "run", tmp_path / "m", out, "--threads", 1)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: process.poll() is not None or list(out.rglob("*.jsonl")), 120, "a part")
        process.send_signal(signal.SIGKILL)
    first = out / "parts" / "000000" / "000000.jsonl"
    assert len(first.read_bytes().splitlines()) == parts_module.PART
    written = first.stat().st_mtime_ns
    parts = score(Manifest(tmp_path / "m"), out, core)
    assert (sum(1 for _ in parts.rows()), first.stat().st_mtime_ns) == (count, written)


class Breaking:
    """A pipeline whose engine breaks in its second batch, and says 500 to those in it."""

    def __init__(self, pipeline):
        self.broken, self._pipeline, self._batches = False, pipeline, 0

    def score(self, jobs):
        self._batches += 1
        self.broken = self._batches > 1
        return self._pipeline.score(jobs)


def test_a_broken_engine_ends_the_run_and_none_of_its_answers_is_a_row(manifest, pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr("lungct_tools.bulk.core.BATCH", 4)
    monkeypatch.setattr(parts_module, "PART", 4)
    core = Core(Breaking(pipeline), "model")
    with pytest.raises(BrokenError, match="again"):
        score(manifest, tmp_path / "out", core)
    assert Parts(tmp_path / "out", manifest, 1).find_missing() == [0]
    core.close()


@pytest.mark.parametrize("harm", ["cut", "of another manifest", "no rows"])
def test_a_part_that_is_not_what_was_written_is_named(harm, manifest, core, tmp_path):
    parts = score(manifest, tmp_path / "out", core)
    (path,) = parts.path.rglob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(
        {"cut": whole[:-9], "of another manifest": whole.replace(b"/0.dcm", b"/7.dcm"), "no rows": b""}[harm]
    )
    with pytest.raises(JournalError, match=r"000000\.jsonl is damaged; remove it, and run shard 0"):
        list(parts.rows())


def test_a_file_that_changed_its_series_since_it_was_listed_is_counted(manifest, core, scans, tmp_path):
    (scans / "a" / "3.dcm").write_bytes((scans / "b" / "3.dcm").read_bytes())
    parts = score(manifest, tmp_path / "out", core)
    assert len(list(parts.rows())) == 21
    assert parts.strayed == 1


def test_the_roll_up_of_shards_is_that_of_all_rows(manifest, core, tmp_path):
    parts = score(manifest, tmp_path / "out", core, 4)
    assert add_up_groups(parts.groups(), CLASSES, 5) == add_up(parts.rows(), CLASSES, 5)
    rows = [make_row(name, series=name) for name in "abc"]
    assert add_up_groups([rows[:1], rows[1:]], CLASSES, 2) == add_up(rows, CLASSES, 2)


def test_gather_names_the_shards_that_are_missing(manifest, core, tmp_path, run_here):
    out = tmp_path / "out"
    out.mkdir()
    Plan(ORDER, "model", manifest.header.sha256, 3).keep(out, manifest.path)
    parts = score(manifest, out, core, 3, only=[1])
    (left,) = parts.find_missing()[:1]
    code, said = run_here("bulk", "gather", out)
    assert (code, "shards are not done" in said, f" {left}" in said) == (3, True, True)
