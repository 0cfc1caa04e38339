"""Peers that are asked to promise that they keep what they were sent. They are real ones that listen."""

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt

from lungct_tools.pacs.commitment import PUSH_MODEL, Commitments
from lungct_tools.pacs.outbox import Outbox, StoreDestination
from tests.support.calls import wait_until
from tests.support.peers import Clock, promising


def test_a_peer_that_offers_it_is_asked_to_promise_that_it_keeps_every_object(spool, version, objects):
    asked = []

    def report(question):
        asked.extend(item.ReferencedSOPInstanceUID for item in question.ReferencedSOPSequence)
        return question

    with promising(report) as (name, answers):
        assert StoreDestination(name, "US", Commitments()).send(version[1])
        wait_until(lambda: answers == [0], 90, "the peer hears that its promise came")
    assert asked == [data.SOPInstanceUID for data in objects]


def test_what_a_peer_does_not_keep_is_sent_again(spool, version):
    promised = []

    def report(question):
        promised.append(question)
        if len(promised) == 1:
            question.FailedSOPSequence = [question.ReferencedSOPSequence.pop()]
        return question

    clock = Clock()
    with promising(report) as (name, answers):
        outbox = Outbox([StoreDestination(name, "US", Commitments())], spool, clock)
        outbox.add(*version)
        outbox.deliver(name)
        assert outbox.waiting()
        clock.now += 2
        outbox.deliver(name)
        wait_until(lambda: answers == [0, 0], 90, "the peer hears that both reports came")
    assert not outbox.waiting()
    journal = (spool.root / "journal.jsonl").read_text()
    assert "does not keep 1 of 2 objects" in journal
    assert '"committed": true' in journal


def test_an_answer_to_a_question_that_nobody_asked_is_refused():
    node = AE("PEER")
    node.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
    server = node.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, Commitments().hear)]
    )
    caller = AE()
    caller.add_requested_context(PUSH_MODEL)
    role = build_role(PUSH_MODEL, scp_role=True)
    link = caller.associate("127.0.0.1", server.server_address[1], ext_neg=[role])
    answer = Dataset()
    answer.TransactionUID, answer.ReferencedSOPSequence = "2.25.1", []
    status, _ = link.send_n_event_report(answer, 1, PUSH_MODEL, "1.2.840.10008.1.20.1.1")
    link.release()
    node.shutdown()
    assert status.Status == 0x0115
