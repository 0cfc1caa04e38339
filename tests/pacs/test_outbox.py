"""Results to peers that are away, busy, broken or will not have them. The peers are real ones that listen."""

import pytest

from lungct_tools.pacs import cstore
from lungct_tools.pacs.dicomweb import ArchiveError, ArchiveRefusal, DicomWeb, read_credentials, read_part
from lungct_tools.pacs.outbox import Outbox, StoreDestination, StowDestination
from tests.support.peers import KINDS, Clock, peer, reply, web
from tests.support.ports import closed_port


def test_what_arrives_by_c_store_is_what_was_built(version, objects):
    received = []

    def keep(event):
        received.append(event.request.DataSet.getvalue())
        return 0

    with peer(keep) as (name, _):
        StoreDestination(name, "US").send(version[1])
    kept = [(version[1].folder / file).read_bytes() for file in version[1].files]
    assert all(whole.endswith(part) for whole, part in zip(kept, received, strict=True))


def test_a_peer_out_of_resources_is_asked_again_after_growing_pauses_and_then_has_each_object_once(
    spool, version, objects
):
    statuses = [0xA700, 0xA700, 0, 0, 0]
    clock = Clock()
    with peer(lambda event: statuses.pop(0)) as (name, got):
        outbox = Outbox([StoreDestination(name, "US")], spool, clock)
        outbox.add(*version)
        outbox.deliver(name)
        outbox.deliver(name)  # pausing: nothing is asked
        assert len(got) == 1
        clock.now += 1.6
        outbox.deliver(name)
        clock.now += 1.6  # the second pause is 1 to 3 s
        assert outbox.waiting()
        clock.now += 1.6
        outbox.deliver(name)
        outbox.deliver(name)
    assert got[2:] == [data.SOPInstanceUID for data in objects]
    assert not outbox.waiting()
    assert version[1].sent() == {name: sorted(version[1].files)}


def test_a_peer_that_closes_in_the_middle_is_asked_again(spool, version, objects):
    calls = []

    def abort_first(event):
        calls.append(event)
        if len(calls) == 1:
            event.assoc.abort()
        return 0

    clock = Clock()
    with peer(abort_first) as (name, got):
        outbox = Outbox([StoreDestination(name, "US")], spool, clock)
        outbox.add(*version)
        outbox.deliver(name)
        assert outbox.waiting()
        clock.now += 2
        outbox.deliver(name)
    assert not outbox.waiting()
    assert set(got) == {data.SOPInstanceUID for data in objects}


def test_a_peer_that_is_away_for_an_hour_gets_everything_and_keeps_nobody_waiting(spool, version):
    clock = Clock()
    with closed_port() as port, peer(lambda event: 0) as (name, got):
        away = StoreDestination(f"PEER@127.0.0.1:{port}", "US")
        outbox = Outbox([away, StoreDestination(name, "US")], spool, clock)
        outbox.add(*version)
        for _ in range(30):
            outbox.deliver(away.name)
            outbox.deliver(name)
            clock.now += 120
        assert len(got) == 2
        assert len(outbox.waiting()) == 1
    tries = (spool.root / "journal.jsonl").read_text().count("send_failed")
    assert 10 <= tries <= 30  # pauses end at five minutes
    with peer(lambda event: 0, port=port) as (_, got):
        clock.now += 600
        outbox.deliver(away.name)
        assert len(got) == 2
    assert not outbox.waiting()


@pytest.mark.parametrize(("status", "kinds"), [(0xA900, KINDS), (0xC001, KINDS), (0, KINDS[:1])])
def test_a_peer_that_will_not_have_an_object_is_not_asked_again(spool, version, status, kinds):
    with peer(lambda event: status, kinds) as (name, _):
        outbox = Outbox([StoreDestination(name, "US")], spool)
        outbox.add(*version)
        outbox.deliver(name)
    assert not outbox.waiting()
    assert name in version[1].refusals()
    assert not outbox.lacking(version[1])


def test_a_warning_is_a_success(version):
    with peer(lambda event: 0xB000) as (name, _):
        StoreDestination(name, "US").send(version[1])


def test_a_new_process_sends_what_the_last_one_did_not_confirm_and_no_more(spool, version):
    with peer(lambda event: 0) as (first, got), peer(lambda event: 0) as (second, got_too):
        outbox = Outbox([StoreDestination(first, "US")], spool)
        outbox.add(*version)
        outbox.deliver(first)
        again = Outbox([StoreDestination(name, "US") for name in (first, second)], spool)
        again.add(*version)
        for name in (first, second):
            again.deliver(name)
    assert len(got) == len(got_too) == 2


def test_echo_says_whether_a_peer_is_there():
    with peer(lambda event: 0, [*KINDS, "1.2.840.10008.1.1"]) as (name, _):
        assert cstore.echo(cstore.Peer.read(name), "US")
    with closed_port() as port:
        assert not cstore.echo(cstore.Peer("PEER", "127.0.0.1", port), "US")


@pytest.mark.parametrize("text", ["", "PEER", "PEER@host", "@host:1", "TOO_LONG_A_TITLE_1@host:1", "A B@host:1"])
def test_a_peer_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="AET@HOST:PORT"):
        cstore.Peer.read(text)


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503])
def test_an_archive_that_fails_or_does_not_know_us_is_asked_again_later(version, status):
    with web(reply(status)) as (address, _), pytest.raises(ArchiveError, match=str(status)):
        StowDestination(address, None, None).send(version[1])


@pytest.mark.parametrize("status", [400, 413, 415])
def test_an_archive_that_will_not_have_the_content_is_believed(version, status):
    with web(reply(status)) as (address, _), pytest.raises(ArchiveRefusal, match=str(status)):
        StowDestination(address, None, None).send(version[1])


def test_an_object_that_the_archive_failed_is_refused_with_its_reason(version):
    body = b'{"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [43264]}}]}}'
    with web(reply(409, body)) as (address, _), pytest.raises(ArchiveRefusal, match="1 of 2 objects: 43264"):
        StowDestination(address, None, None).send(version[1])


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>"])
def test_what_the_archive_did_not_confirm_is_not_sent(version, body):
    with web(reply(200, body)) as (address, _), pytest.raises(ArchiveError):
        StowDestination(address, None, None).send(version[1])


def test_a_redirect_is_not_followed(version):
    with web(reply(200)) as (elsewhere, asked_elsewhere), web(reply(307, Location=elsewhere)) as (address, asked):
        archive = DicomWeb(address)
        with pytest.raises(ArchiveError, match="another address"):
            archive.fetch("/studies/1")
        with pytest.raises(ArchiveError, match="another address"):
            archive.search({})
        with pytest.raises(ArchiveError, match="another address"):
            StowDestination(address, None, None).send(version[1])
    assert len(asked) == 3
    assert not asked_elsewhere


def test_credentials_come_from_a_file_that_nobody_else_can_read(tmp_path):
    path = tmp_path / "credentials"
    path.write_text("alice:secret\n")
    path.chmod(0o644)
    with pytest.raises(ArchiveError, match="chmod 600"):
        read_credentials(path)
    path.chmod(0o600)
    with web(reply(204)) as (address, asked):
        DicomWeb(address, path).search({})
    assert asked[0][1] == "Basic YWxpY2U6c2VjcmV0"
    path.write_text("Bearer abc")
    assert read_credentials(path) == "Bearer abc"


@pytest.mark.parametrize("ask", [lambda web: web.fetch("/studies/1"), lambda web: web.search({})])
def test_an_answer_without_end_is_cut_off(ask):
    def flood(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(2**20))
        except OSError:
            pass

    with web(flood) as (address, _), pytest.raises(ArchiveError, match="too large"):
        ask(DicomWeb(address))


def test_the_part_of_a_multipart_answer_is_taken_as_it_is():
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n\x00\r\n--x\r\n\xff\r\n--b--\r\n"
    assert read_part('multipart/related; type="application/dicom"; boundary=b', body) == b"\x00\r\n--x\r\n\xff"
    with pytest.raises(ArchiveError, match="cut short"):
        read_part("multipart/related; boundary=b", body[:40])


def test_a_refused_result_is_sent_again_when_the_operator_asks(spool, version):
    with peer(lambda event: 0xA900) as (name, _):
        outbox = Outbox([StoreDestination(name, "US")], spool)
        outbox.add(*version)
        outbox.deliver(name)
    version[1].forget_refusals()
    assert outbox.lacking(version[1]) == [name]
