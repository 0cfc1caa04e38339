"""The way to a collector: it gets what is told, and whatever it does no request waits."""

import time
from urllib.parse import urlsplit

import pytest

from lungct.traces import Call, open_sender
from lungct.traces.sender import WAITING, Sender
from tests.support.calls import wait_until
from tests.support.collector import collecting
from tests.support.ports import closed_port

FACTS = {"route": "predictions", "status": 200, "format": "PNG", "batch": 1, "engine": "openvino-fp32"}
CALL = Call(None, None, None, 1_700_000_000.0, {"decode": 0.1}, FACTS)


def test_what_is_told_arrives_in_one_export():
    with collecting() as collector:
        sender = open_sender(collector.address)
        sender.tell([CALL] * 10)
        wait_until(lambda: len(collector.spans) == 20, 60, "all spans")
        assert [post[:2] for post in collector.posts] == [("/v1/traces", "application/json")]
        assert sender.take_dropped() == 0


def test_a_collector_that_does_not_answer_costs_no_request_and_what_finds_no_room_is_counted():
    with collecting() as collector:
        collector.open.clear()
        sender = open_sender(f"{collector.address}/")
        sender.tell([CALL])
        wait_until(lambda: collector.posts, 60, "it hangs")
        began = time.perf_counter()
        sender.tell([CALL] * (WAITING + 100))
        assert time.perf_counter() - began < 2  # a collector that hangs would hold it for 5 s
        assert sender.take_dropped() == 100
        assert sender.take_dropped() == 0, "each is told once"
        collector.open.set()
        wait_until(lambda: len(collector.spans) == 2 * (WAITING + 1), 90, "the others arrive")


def test_an_absent_collector_is_told_once_and_counted(caplog):
    with closed_port() as port:
        sender = open_sender(f"http://127.0.0.1:{port}")
        for told in (3, 4):
            sender.tell([CALL] * told)
            wait_until(lambda told=told: sender.take_dropped() == told, 60, "they are counted")
    assert caplog.text.count("The collector took no traces") == 1


def test_an_address_that_cannot_be_asked_ends_no_thread():
    sender = Sender(urlsplit("http://collector..example"))
    for _ in range(2):
        sender.tell([CALL])
        wait_until(lambda: sender.take_dropped() == 1, 60, "it is counted")


@pytest.mark.parametrize("status", [302, 400, 503])
def test_what_the_collector_refuses_is_counted(status):
    with collecting() as collector:
        collector.status = status
        sender = open_sender(collector.address)
        sender.tell([CALL])
        wait_until(lambda: sender.take_dropped() == 1, 60, "it is counted")


def test_where_no_collector_is_named_there_is_no_sender():
    assert open_sender("") is None


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.7:4318", "http://collector.example.org", "http://0.0.0.0:4318", "http://127.0.0.1.example.org",
        "ftp://127.0.0.1", "127.0.0.1:4318", "https://", "https://user:secret@example.org", "https://example.org?a=b",
        "https://example.org#a", "https://example.org:port", "http://[::1", "https://collector..example",
        "https://example.org/\u00e9", "https://\u00e9.example.org",
    ],
)  # fmt: skip
def test_http_beyond_loopback_and_what_is_no_address_are_refused_without_repeating_it(address):
    with pytest.raises(ValueError, match="LUNG_CT_TRACES must be") as refused:
        open_sender(address)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:4318", "http://localhost", "http://[::1]:4318/otlp", "https://otel.example.org/a"]
)
def test_loopback_and_tls_will_do(address):
    assert open_sender(address) is not None
