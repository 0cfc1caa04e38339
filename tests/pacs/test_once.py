"""A folder of series scored once, by a real server: as a command, and as a mercure module."""

import json
import os
import subprocess

import pytest
from pydicom import dcmread

from lungct_tools import ROOT
from lungct_tools.commandline import compose
from lungct_tools.folder.rollup import NOT_ASSESSABLE
from lungct_tools.pacs.command import main
from tests.support.dicoms import build_ct
from tests.support.series import OBLIQUE, draw_series, refused_slice

pytestmark = pytest.mark.server
PEOPLE = ("PHANTOM", "2.25.")


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two series, one slice twice, another with its UID, a localiser, and two files that are no CT series."""
    folder = tmp_path_factory.mktemp("scans")
    files = (*draw_series(4), refused_slice(), draw_series(1)[0], *draw_series(2, OBLIQUE, name="oblique"))
    for number, body in enumerate(files):
        (folder / f"{number}.dcm").write_bytes(body)
    (folder / "no-uids.dcm").write_bytes(build_ct())
    (folder / "uid-again.dcm").write_bytes(draw_series(1, InstanceNumber=77)[0])
    (folder / "task.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def done(server, scans, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert main(["once", str(scans), str(out), "--run", str(server.run)]) == 1  # the localiser was refused
    return out


def test_each_series_gets_its_objects_and_a_row(done):
    document = json.loads((done / "result.json").read_text())
    by_size = sorted(document["series"], key=lambda series: series["slices"])
    assert [(s["slices"], s["scored"], s["errors"]) for s in by_size] == [(2, 2, {}), (5, 4, {"unsupported_dicom": 1})]
    assert [s["label"] == NOT_ASSESSABLE for s in by_size] == [True, False]
    assert document["left_out"] == {"copy": 1, "uid_used_twice": 1, "unsupported_dicom": 1}
    kinds = [[dcmread(done / name).Modality for name in series["files"]] for series in by_size]
    assert kinds == [["SR", "OT", "OT"], ["SR", "OT", "OT", "OT", "OT"]]  # no class, no map


def test_mercure_is_told_that_a_person_must_look(done):
    document = json.loads((done / "result.json").read_text())
    referred = [series for series in document["series"] if series["decision"] == "refer"]
    assert document["__mercure_notification"]["requested"] is bool(referred)


def test_neither_the_summary_nor_a_files_name_tells_who_it_is(done):
    told = (done / "result.json").read_text() + " ".join(path.name for path in done.iterdir())
    assert not any(word in told for word in PEOPLE)


def test_as_a_mercure_module_it_writes_the_same_bytes(server, scans, done, tmp_path):
    environment = {**os.environ, "MERCURE_IN_DIR": str(scans), "MERCURE_OUT_DIR": str(tmp_path)}
    command = [*compose("pacs"), "once", "--run", str(server.run)]
    ended = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert not any(word in ended.stdout + ended.stderr for word in PEOPLE)
    names = {path.name for path in done.iterdir()}
    assert {path.name for path in tmp_path.iterdir()} == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (done / name).read_bytes()


def test_a_result_is_not_scored_again(server, done, tmp_path, capsys):
    assert main(["once", str(done), str(tmp_path / "again"), "--run", str(server.run)]) == 2
    assert "no CT series" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"), [(["once"], "name IN and OUT"), (["once", "{in}", "{in}/out"], "inside")]
)
def test_places_that_cannot_be_used_are_named(scans, arguments, sentence, capsys, monkeypatch):
    monkeypatch.delenv("MERCURE_IN_DIR", raising=False)
    assert main([each.replace("{in}", str(scans)) for each in arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_without_a_server_nothing_is_written(scans, tmp_path, capsys):
    assert main(["once", str(scans), str(tmp_path / "out"), "--run", str(tmp_path)]) == 3
    assert not (tmp_path / "out").exists()
