"""Results are written into OUT and nowhere else, whatever lies there: it may be another user's, who prepared links."""

import os

import pytest

from lungct_tools.folder.journal import Journal, JournalError
from lungct_tools.folder.parquet import write_parquet
from lungct_tools.folder.report import open_whole
from tests.support.rows import CLASSES, make_row


@pytest.fixture
def outside(tmp_path):
    """A file of somebody who never asked for results, with a last line that has no end."""
    (tmp_path / "out").mkdir()
    kept = tmp_path / "kept"
    kept.write_text("first\nlast")
    yield kept
    assert kept.read_text() == "first\nlast"


@pytest.mark.parametrize("name", ["slices.csv", "slices.csv.new", "slices.parquet", "slices.parquet.new"])
def test_tables_take_the_place_of_links_and_follow_none(tmp_path, outside, name):
    (tmp_path / "out" / name).symlink_to(outside)
    with open_whole(tmp_path / "out" / "slices.csv") as file:
        file.write("a,b\n")
    write_parquet([make_row("a")], CLASSES, tmp_path / "out" / "slices.parquet", {})
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"slices.csv", "slices.parquet"}
    assert not any(path.is_symlink() for path in (tmp_path / "out").iterdir())


def test_a_journal_that_is_a_link_or_a_pipe_is_told_and_left_alone(tmp_path, outside):
    journal = tmp_path / "out" / "slices.jsonl"
    for lead in (outside, tmp_path / "new"):
        journal.symlink_to(lead)
        with pytest.raises(JournalError, match=r"slices\.jsonl cannot be used"):
            Journal(journal)
        journal.unlink()
    os.mkfifo(journal)
    with pytest.raises(JournalError, match="it is no file"):
        Journal(journal)
    assert not (tmp_path / "new").exists()


def test_rows_of_files_that_are_gone_go_into_no_link(tmp_path, outside):
    (tmp_path / "out" / "slices-before.jsonl").symlink_to(outside)
    (tmp_path / "out" / "slices.new").symlink_to(outside)
    with Journal(tmp_path / "out" / "slices.jsonl") as journal:
        places = [journal.append(make_row(name)) for name in "ab"]
        with pytest.raises(JournalError, match=r"slices-before\.jsonl cannot be used"):
            journal.arrange(places[1:])
        (tmp_path / "out" / "slices-before.jsonl").unlink()
        assert journal.arrange(places[1:]) == 1
        assert [row["file"] for row in journal.rows()] == ["b"]
