"""Spans of a request: what a collector reads of them, and what they never hold."""

import json

import pytest

from lungct.traces.span import Call, build, read_stamp
from tests.support.collector import read_spans
from tests.support.origins import TRACE_ID

SPAN_ID, BEGAN = "00f067aa0ba902b7", 1_700_000_000.5
SECONDS = {"decode": 0.25, "inference": 0.5, "render": 0.125}
FACTS = {"route": "predictions", "status": 200, "format": "PNG", "batch": 3, "engine": "openvino-fp32"}


def spans_of(*calls):
    return read_spans(json.dumps(build(calls)))


def lasts(span):
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9


def test_a_request_has_a_span_of_the_gateways_ids_and_its_stages_below_it_one_after_the_other():
    whole, *parts = spans_of(Call(TRACE_ID, SPAN_ID, BEGAN - 2, BEGAN, SECONDS, FACTS))
    assert (whole.trace_id.hex(), whole.span_id.hex(), whole.parent_span_id) == (TRACE_ID, SPAN_ID, b"")
    assert whole.kind == whole.SPAN_KIND_SERVER
    assert {part.trace_id.hex() for part in parts} == {TRACE_ID}
    assert {part.parent_span_id.hex() for part in parts} == {SPAN_ID}
    assert len({part.span_id for part in parts} | {whole.span_id}) == 5
    assert {part.name: lasts(part) for part in parts} == pytest.approx({"queue": 2, **SECONDS}, abs=1e-6)
    assert [part.start_time_unix_nano for part in parts[1:]] == [part.end_time_unix_nano for part in parts[:-1]]
    assert parts[0].start_time_unix_nano == whole.start_time_unix_nano
    assert parts[-1].end_time_unix_nano == whole.end_time_unix_nano


def test_attributes_are_those_of_the_list_with_their_kinds():
    whole, *parts = spans_of(Call(TRACE_ID, SPAN_ID, None, BEGAN, SECONDS, FACTS))
    told = {each.key: each.value.string_value or each.value.int_value for each in whole.attributes}
    assert told == FACTS
    assert not any(part.attributes for part in parts)


def test_a_callers_span_is_above_ours_where_no_gateway_made_one():
    whole, *parts = spans_of(Call(TRACE_ID, SPAN_ID, None, BEGAN, SECONDS, FACTS))
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)
    assert len(whole.span_id) == 8
    assert whole.span_id.hex() != SPAN_ID
    assert {part.parent_span_id for part in parts} == {whole.span_id}


def test_without_a_gateway_ids_are_made_and_there_is_no_queue():
    first, second = (spans_of(Call(None, None, None, BEGAN, SECONDS, FACTS)) for _ in range(2))
    assert [span.name for span in first] == ["lung_ct", *SECONDS]
    assert (len(first[0].trace_id), len(first[0].span_id)) == (16, 8)
    assert first[0].trace_id != second[0].trace_id
    assert first[0].parent_span_id == b""


@pytest.mark.parametrize(("status", "failed"), [(200, False), (422, False), (500, True), (503, True)])
def test_only_our_own_fault_is_a_failure(status, failed):
    whole = spans_of(Call(TRACE_ID, SPAN_ID, None, BEGAN, SECONDS, {**FACTS, "status": status}))[0]
    assert (whole.status.code == whole.status.STATUS_CODE_ERROR) is failed


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("1700000000.250", 1_700_000_000.25),
        ("1700000001.000", None),  # of the future
        ("1699990000.000", None),  # of hours ago
        ("1700000000", None),
        ("nan", None),
        ("1e9", None),
        ("DOE^JOHN", None),
        ({"a": "b"}, None),
    ],
)
def test_a_stamp_is_believed_where_it_can_be_true(given, read):
    assert read_stamp({"x-gateway-time": given}, BEGAN) == read
    assert read_stamp({"X-Gateway-Time": given}, BEGAN) == read


def test_no_stamp_is_none():
    assert read_stamp({"X-Request-Id": "7"}, BEGAN) is None
