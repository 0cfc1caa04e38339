"""A folder that is scored again: what is new or changed is asked for, nothing else; what a row says, its file holds."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from lungct_tools.folder.journal import JournalError
from tests.support.desk import Desk, read_rows, score_folder


@pytest.fixture
def desk(pipeline):
    return Desk(pipeline)


@pytest.fixture
def scans(tmp_path, slices):
    """Four slices, as IM1 to IM4."""
    (tmp_path / "scans").mkdir()
    for number, body in enumerate(slices, 1):
        (tmp_path / "scans" / f"IM{number}").write_bytes(body)
    return tmp_path / "scans"


def replace_keeping_size_and_date(path: Path, body: bytes) -> None:
    """Another file of the same length in its place, as a copy that keeps dates leaves it."""
    date = path.stat().st_mtime_ns
    path.write_bytes(body.ljust(path.stat().st_size, b"\0"))
    os.utime(path, ns=(date, date))


def test_a_second_run_asks_nothing_and_changes_nothing(desk, scans, tmp_path):
    score_folder(scans, tmp_path / "out", desk)
    asked, rows = desk.tallies["desk"], (tmp_path / "out" / "slices.jsonl").read_bytes()
    pictures = (tmp_path / "out" / "summary.html").read_text().count("<img")
    score_folder(scans, tmp_path / "out", desk)
    assert desk.tallies["desk"] - asked <= 4  # the pictures of the summary
    assert (tmp_path / "out" / "slices.jsonl").read_bytes() == rows
    assert (tmp_path / "out" / "summary.html").read_text().count("<img") == pictures


def test_another_slice_under_the_same_name_is_scored_again(desk, scans, tmp_path, slices):
    score_folder(scans, tmp_path / "out", desk)
    before = read_rows(tmp_path / "out")
    other = min(range(4), key=lambda n: len(slices[n]))
    largest = max(range(4), key=lambda n: len(slices[n]))
    replace_keeping_size_and_date(scans / f"IM{largest + 1}", slices[other])
    score_folder(scans, tmp_path / "out", desk)
    rows = read_rows(tmp_path / "out")
    assert [row["file"] for row in rows] == ["IM1", "IM2", "IM3", "IM4"]
    assert rows[largest]["probabilities"] == before[other]["probabilities"]
    assert rows[largest]["sha256"] != before[largest]["sha256"]
    (aside,) = map(json.loads, (tmp_path / "out" / "slices-before.jsonl").read_text().splitlines())
    assert aside == before[largest]


def test_a_grown_folder_is_scored_where_it_is_new_and_its_rows_stand_in_its_order(desk, scans, tmp_path, slices):
    score_folder(scans, tmp_path / "out", desk)
    asked = []
    desk.change = lambda reply: asked.append(reply["input"]["sha256"]) if "heatmap" not in reply else None
    (scans / "IM0").write_bytes(slices[0] + b"\0")
    (scans / "IM3").unlink()
    (scans / "below").mkdir()
    (scans / "below" / "IM1").write_bytes(slices[1] + b"\0")
    totals = score_folder(scans, tmp_path / "out", desk)
    rows = read_rows(tmp_path / "out")
    assert [row["file"] for row in rows] == ["IM0", "IM1", "IM2", "IM4", "below/IM1"]
    assert asked == [rows[0]["sha256"], rows[-1]["sha256"]]
    assert totals.slices == 5


def test_a_folder_that_was_moved_or_touched_is_read_and_not_scored_again(desk, scans, tmp_path):
    score_folder(scans, tmp_path / "out", desk)
    moved = shutil.copytree(scans, tmp_path / "moved")
    asked = []
    desk.change = lambda reply: asked.append(reply) if "heatmap" not in reply else None
    score_folder(moved, tmp_path / "out", desk)
    score_folder(moved, tmp_path / "out", desk)
    assert asked == []
    assert not (tmp_path / "out" / "slices-before.jsonl").exists()


def test_a_file_that_could_not_be_read_is_tried_again(desk, scans, tmp_path, slices):
    (scans / "IM5").symlink_to(tmp_path / "later")
    assert score_folder(scans, tmp_path / "out", desk).errors == {"unreadable_file": 1}
    (tmp_path / "later").write_bytes(slices[0])
    assert score_folder(scans, tmp_path / "out", desk).errors == {}


def test_the_results_of_another_folder_are_not_touched(desk, scans, tmp_path, slices):
    score_folder(scans, tmp_path / "out", desk)
    rows = (tmp_path / "out" / "slices.jsonl").read_bytes()
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "a.png").write_bytes(slices[0])
    with pytest.raises(JournalError, match="name another OUT"):
        score_folder(tmp_path / "others", tmp_path / "out", desk)
    assert (tmp_path / "out" / "slices.jsonl").read_bytes() == rows


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_have_a_row_and_a_picture_each(desk, tmp_path, slices):
    with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
        for body in slices[:2]:
            archive.writestr("IM1", body)
    for _ in range(2):
        totals = score_folder(tmp_path / "scan.zip", tmp_path / "out", desk, heatmap="always")
        rows = read_rows(tmp_path / "out")
        assert [row["file"] for row in rows] == ["IM1", "IM1"]
        assert len({row["sha256"] for row in rows}) == 2
        assert [desk.predict(body)["probabilities"] for body in slices[:2]] == [row["probabilities"] for row in rows]
        assert (totals.slices, totals.copies) == (2, 0)


def test_a_member_that_was_changed_in_its_zip_is_scored_again(desk, tmp_path, slices):
    for body in slices[:2]:
        with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
            archive.writestr("IM1", body)
        score_folder(tmp_path / "scan.zip", tmp_path / "out", desk)
        (row,) = read_rows(tmp_path / "out")
        assert row["probabilities"] == desk.predict(body)["probabilities"]


def test_no_picture_of_another_slice_stands_beside_a_score(desk, scans, tmp_path, slices, monkeypatch):
    """The file is replaced after it was scored and before the summary is drawn."""
    from lungct_tools.folder import report

    drawn = []
    monkeypatch.setattr(report, "build_summary", lambda *parts: drawn.append(parts[2]) or "")
    really = report.add_up_groups

    def replace_then_add_up(*arguments):
        shutil.copy(scans / "IM1", scans / "IM2")
        return really(*arguments)

    monkeypatch.setattr(report, "add_up_groups", replace_then_add_up)
    score_folder(scans, tmp_path / "out", desk)
    rows = {row["file"]: row["sha256"] for row in read_rows(tmp_path / "out")}
    assert rows["IM2"] not in drawn[0]
    assert set(drawn[0]) <= set(rows.values())
