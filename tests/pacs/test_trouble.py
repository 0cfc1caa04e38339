"""A spool among strangers: what they make it write has an end, what they prepared is not followed, damage is told."""

import json
import os
import threading
from argparse import Namespace

import pytest

from lungct_tools.folder.journal import JournalError
from lungct_tools.pacs import command
from lungct_tools.pacs import spool as spools
from lungct_tools.pacs.command import main, open_spool
from lungct_tools.pacs.folder import SeriesFolder
from lungct_tools.pacs.numbers import describe, find_spool, record_spool
from lungct_tools.pacs.spool import Spool, SpoolError

NOBODY = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can own folders of others")


def test_a_journal_that_senders_fill_takes_no_more_than_its_share_of_the_disk(tmp_path, monkeypatch):
    """Each file that is refused leaves a line, whoever sent it."""
    monkeypatch.setattr(spools, "LIMIT", 1000)
    with Spool(tmp_path / "spool", 10**6) as spool:
        for number in range(100):
            spool.note("refused", code=f"code_{number}")
    sizes = {path.name: path.stat().st_size for path in spool.root.glob("journal*")}
    assert sizes.keys() == {"journal.jsonl", "journal.jsonl.1"}
    assert max(sizes.values()) <= 1000
    lines = (spool.root / "journal.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["code"] == "code_99"


@as_root
def test_in_a_folder_of_another_user_root_writes_nothing_and_changes_no_mode(tmp_path):
    """Its journal was written through a link, and a folder elsewhere made private."""
    run, precious = tmp_path / "run", tmp_path / "precious"
    for folder in (run, precious, run / "mine"):
        folder.mkdir()
    (precious / "file").write_text("precious")
    for name in ("journal.jsonl", "lock"):
        (run / "mine" / name).symlink_to(precious / "file")
    (run / "pacs").symlink_to(precious)
    for path in (run / "pacs", run / "mine", run):
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    mode = precious.stat().st_mode
    for name in ("pacs", "mine"):
        with pytest.raises(SpoolError, match="user 65534"):
            Spool(run / name, 10**6)
    (run / "pacs").unlink()
    with pytest.raises(SpoolError, match="user 65534"):
        open_spool(Namespace(run=[run], spool=None, quota=1, retry_refused=False))
    assert not record_spool(run, tmp_path)
    assert [path.name for path in precious.iterdir()] == ["file"]
    assert (precious / "file").read_text() == "precious"
    assert precious.stat().st_mode == mode
    assert [path.name for path in run.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["lock", "journal.jsonl"])
def test_no_link_in_a_spool_is_written_through(tmp_path, name):
    root, elsewhere = tmp_path / "spool", tmp_path / "elsewhere"
    root.mkdir(mode=0o700)
    (root / name).symlink_to(elsewhere)
    try:
        with Spool(root, 10**6) as spool:
            spool.note("refused")
    except OSError:
        pass  # told by the command
    assert not elsewhere.exists()


def test_an_empty_folder_that_everybody_may_write_to_is_closed_before_it_is_looked_into(tmp_path, monkeypatch):
    """Else somebody puts a link into it between the look and the lock."""
    root, modes = tmp_path / "fresh", []
    root.mkdir()
    root.chmod(0o1777)
    look = os.listdir

    def watch(folder):
        modes.append(root.stat().st_mode & 0o7777)
        return look(folder)

    monkeypatch.setattr(spools.os, "listdir", watch)
    with Spool(root, 10**6):
        assert modes[0] == root.stat().st_mode & 0o7777 == 0o700


def test_a_folder_that_everybody_may_write_to_and_that_holds_something_is_refused_as_it_is(tmp_path):
    root = tmp_path / "used"
    root.mkdir()
    root.chmod(0o1777)
    (root / "series").mkdir()
    with pytest.raises(SpoolError, match="Everybody can write"):
        Spool(root, 10**6)
    assert root.stat().st_mode & 0o7777 == 0o1777


def test_a_spool_is_recorded_beside_its_server_where_the_run_folder_is_a_link_of_ours(tmp_path):
    run, link = tmp_path / "run", tmp_path / "link"
    run.mkdir(mode=0o700)
    link.symlink_to(run)
    assert record_spool(link, tmp_path / "spool")
    assert find_spool(run) == find_spool(link) == tmp_path / "spool"


@pytest.mark.parametrize("name", ["none", "everybody"])
def test_where_a_spool_cannot_be_recorded_the_command_says_so_and_listens(tmp_path, name, capsys, monkeypatch):
    run = tmp_path / name
    if name == "everybody":
        run.mkdir()
        run.chmod(0o777)
    ended = threading.Event()
    ended.set()
    monkeypatch.setattr(command, "stop_on_signals", lambda: ended)
    assert main(["listen", "--run", str(run), "--spool", str(tmp_path / "spool"), "--port", "0"]) == 0
    told = capsys.readouterr()
    assert f"the exporter beside {run} is not told" in told.err
    assert "without --to results go nowhere, and are deleted after 24 hours" in told.err
    assert "listens at" in told.out
    assert not (run / "pacs.json").exists()


REST = '"oldest_unsent_s": 0, "at": 9e99'
DAMAGED = ["", "{", "[]", "7", "null", '{"spool": 7}', '{"at": 1}', "\x00",
           f'{{"states": {{"open": "x"}}, "scored": 1, "peers": [], {REST}}}',
           f'{{"states": {{}}, "scored": null, "peers": [], {REST}}}',
           f'{{"states": {{}}, "scored": 1, "peers": [7], {REST}}}']  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_numbers_are_those_of_nobody_and_cost_no_other_metric(tmp_path, text):
    for name in ("pacs.json", "numbers.json"):
        (tmp_path / name).write_text(text)
    assert find_spool(tmp_path) is None
    assert [(s.name, s.value) for m in describe(tmp_path) for s in m.samples] == [("lung_ct_pacs_up", 0)]


@pytest.mark.parametrize("text", [b"", b"{", b"7", b"\xff\xfe"])
@pytest.mark.parametrize("name", ["closed.json", "out/1/manifest.json"])
def test_a_damaged_record_of_a_series_is_told_in_a_sentence(tmp_path, name, text, capsys):
    file = tmp_path / "series" / ("a" * 24) / name
    file.parent.mkdir(parents=True)
    file.write_bytes(text)
    assert main(["status", "--spool", str(tmp_path)]) == 2
    assert f"{file} is damaged; move {file.parent} away" in capsys.readouterr().err
    with pytest.raises(JournalError):
        SeriesFolder(tmp_path / "series" / ("a" * 24)).last_report()


@pytest.mark.parametrize("line", ["7", "[]", '{"a": 1}', "\x00"])
def test_a_damaged_row_is_none(tmp_path, line):
    (tmp_path / "rows.jsonl").write_text(f'{{"file": "a"}}\n{line}\n')
    assert SeriesFolder(tmp_path).rows().keys() == {"a"}
