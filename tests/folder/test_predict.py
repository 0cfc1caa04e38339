"""Predict on the command line, without a server: which files, under which names, and what is left when it fails."""

import sys

import pytest

from lungct_client import RefusedError, ServerDown
from lungct_tools.folder import predict
from tests.conftest import run_script

REPLY = {
    "label": "B", "confidence": 0.7, "decision": "report", "probabilities": {"A": 0.3, "B": 0.7}, "warnings": [],
}  # fmt: skip


class Desk:
    """Takes the client's place: the file's text says what happens to it."""

    def predict(self, body, **options):
        if body == b"down":
            raise ServerDown("gone")
        if body == b"stop":
            raise KeyboardInterrupt
        if body == b"junk":
            raise RefusedError(415, "unsupported_format", "Send [an image].", "id")
        return REPLY


@pytest.fixture
def run(monkeypatch, capsys):
    """Run it: exit code, standard output, standard error."""

    def run_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["predict", "--concurrency", "1", *map(str, arguments)])
        return (predict.main(), *capsys.readouterr())

    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setattr(predict, "connect", lambda run: Desk())
    return run_here


@pytest.fixture
def scans(tmp_path):
    """A folder with slices in it and below it, and what systems leave everywhere."""
    (tmp_path / "scans" / "below").mkdir(parents=True)
    for name in ("1[red].png", "below/2.png", ".DS_Store", "DICOMDIR"):
        (tmp_path / "scans" / name).write_bytes(b"slice")
    (tmp_path / "scans" / "below" / "notes[b].txt").write_bytes(b"junk")
    return tmp_path / "scans"


def test_names_are_those_inside_the_folder_and_noise_is_left_out(run, scans):
    code, shown, _ = run(scans)
    assert code == 1
    assert [line.split()[1] for line in shown.splitlines() if "report" in line] == ["1[red].png", "below/2.png"]
    assert "refused below/notes[b].txt: unsupported_format. Send [an image]." in shown
    assert "DS_Store" not in shown


def test_names_in_two_folders_tell_which(run, scans):
    _, shown, _ = run(scans / "below", scans / "1[red].png")
    assert [line.split()[1] for line in shown.splitlines() if "report" in line] == ["below/2.png", "1[red].png"]


@pytest.mark.parametrize(("fault", "code", "words"), [(b"down", 3, "gone"), (b"stop", 130, "stopped after 1 of 3")])
def test_rows_that_were_scored_before_it_failed_are_shown(fault, code, words, run, scans):
    (scans / "below" / "1.png").write_bytes(fault)
    (scans / "below" / "notes[b].txt").unlink()
    found, shown, said = run(scans)
    assert (found, "1[red].png" in shown, words in said) == (code, True, True)


def test_predict_names_what_does_not_exist(tmp_path):
    done = run_script("predict", tmp_path / "nothing.png", "--run", tmp_path)
    assert (done.returncode, "does not exist" in done.stderr) == (2, True)
    (tmp_path / "a.png").touch()
    done = run_script("predict", tmp_path / "a.png", "--overlay", tmp_path / "none" / "o.png", "--run", tmp_path)
    assert (done.returncode, "there is no folder" in done.stderr) == (2, True)


def test_predicts_table_has_the_classes_that_the_model_has():
    shares = {"A": 0.3, "B": 0.7}
    row = {"file": "a.png", "label": "B", "confidence": 0.7, "decision": "report", "probabilities": shares}
    assert [column.header for column in predict.make_table([row], ".").columns][4:] == ["A", "B"]
