"""The handler with a collector: each request of a batch becomes spans, and none holds what a caller wrote."""

import time

import pytest
from lung_ct_handler import LungCTHandler

from tests.support.calls import wait_until
from tests.support.collector import collecting
from tests.support.origins import GOOD_IDS, TRACE_ID, TRACEPARENT
from tests.test_handler import ask, make_context


def test_spans_go_to_the_collector_that_is_named_and_hold_nothing_of_a_caller(slices, monkeypatch):
    with collecting() as collector:
        monkeypatch.setenv("LUNG_CT_TRACES", collector.address)
        context, handler = make_context(), LungCTHandler()
        handler.initialize(context)
        rows = [{"body": slices[0]}, {"body": b"PATIENT^NAME"}, {"body": {"inputs": ["PATIENT^NAME"]}}]
        sent = {"traceparent": TRACEPARENT, "X-Gateway-Time": f"{time.time() - 1:.3f}", "X-Note": "PATIENT^NAME"}
        ask(handler, context, rows, [sent, {"explain": "True", "X-Request-Id": GOOD_IDS[0]}, {}])
        wait_until(lambda: len(collector.spans) == 5 + 4 + 4, 60, "the spans of three requests")
        assert not any(word in collector.posts[0][2] for word in (b"PATIENT", GOOD_IDS[0].encode()))
    whole = [span for span in collector.spans if not span.parent_span_id]
    told = [{a.key: a.value.string_value or a.value.int_value for a in span.attributes} for span in whole]
    assert [tuple(each.values())[:4] for each in told] == [
        ("predictions", 200, "PNG", 3), ("explanations", 415, "none", 3), ("infer", 400, "none", 3),
    ]  # fmt: skip
    assert {each["engine"] for each in told} == {handler._engine_name}
    assert whole[0].trace_id.hex() == TRACE_ID
    assert {span.name for span in collector.spans} == {"lung_ct", "queue", "decode", "inference", "render"}


def test_an_address_that_is_none_ends_the_start(monkeypatch):
    monkeypatch.setenv("LUNG_CT_TRACES", "http://collector.example.org")
    with pytest.raises(ValueError, match="LUNG_CT_TRACES"):
        LungCTHandler().initialize(make_context())
