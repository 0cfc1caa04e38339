"""A spool among strangers: what they make it write has an end, what they prepared is not followed, damage is told."""

import json
import os
import socket
import ssl
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from lungct_tools.folder.journal import JournalError
from lungct_tools.pacs import spool as spools
from lungct_tools.pacs.command import main, open_spool
from lungct_tools.pacs.commitment import Commitments
from lungct_tools.pacs.folder import SeriesFolder
from lungct_tools.pacs.listen import Listener, secure
from lungct_tools.pacs.numbers import describe, find_spool, record_spool
from lungct_tools.pacs.spool import Spool, SpoolError
from lungct_tools.proxy.nginx import make_certificate
from tests.support.calls import wait_until

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
    record_spool(run, tmp_path)
    assert [path.name for path in precious.iterdir()] == ["file"]
    assert (precious / "file").read_text() == "precious"
    assert precious.stat().st_mode == mode
    assert [path.name for path in run.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["lock", "journal.jsonl"])
def test_no_link_in_a_spool_is_written_through(tmp_path, name):
    root, precious = tmp_path / "spool", tmp_path / "precious"
    root.mkdir()
    precious.write_text("precious")
    (root / name).symlink_to(precious)
    try:
        with Spool(root, 10**6) as spool:
            spool.note("refused")
    except OSError:
        pass  # told by the command
    assert precious.read_text() == "precious"


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


def test_who_connects_and_says_nothing_holds_up_no_other_sender(tmp_path):
    certificate, key = make_certificate(tmp_path)
    context = secure(certificate, key, certificate)
    with Spool(tmp_path / "spool", 10**6) as spool:
        listener = Listener(spool, lambda *_: None, Commitments(), "LUNGCT", ("127.0.0.1", 0), context)
        try:
            # in this order: silence ends before the pool waits for the other one
            with ThreadPoolExecutor(1) as pool, socket.create_connection(("127.0.0.1", listener.port)):
                client = ssl.create_default_context(cafile=str(certificate))
                client.load_cert_chain(certificate, key)
                node = AE("SENDER")
                node.add_requested_context(Verification)
                node.acse_timeout = node.dimse_timeout = node.connection_timeout = 5
                asked = pool.submit(node.associate, "127.0.0.1", listener.port, tls_args=(client, "localhost"))
                wait_until(asked.done, 10, "the second one is let in")
                link = asked.result()
                assert link.is_established
                assert link.send_c_echo().Status == 0
                link.release()
        finally:
            listener.close()
