"""A request keeps its ids from its caller through the gateway into the log, the server and the reply."""

import json
import re

import pytest

from tests.nginx.callers import KEY
from tests.support.logs import await_line
from tests.support.origins import BAD_IDS, BAD_TRACES, GOOD_IDS, TRACE_ID, TRACEPARENT

pytestmark = pytest.mark.ops
FRESH = re.compile("[0-9a-f]{32}")
OURS = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-00")


def sendable(values):
    return [value for value in values if value and value.isascii()]


def read_line(nginx, request_id):
    """The line of the access log about this request."""
    return json.loads(await_line(nginx.folder / "access.log", request_id))


@pytest.mark.parametrize("plan", [(), (500, 200), (422,), ("internal", "internal"), (503,)])
def test_a_callers_ids_are_those_of_server_reply_and_log_whatever_comes_of_the_request(nginx, post, upstream, plan):
    given = f"{GOOD_IDS[0]}-{len(plan)}-{plan[0] if plan else 200}"
    answer = post(plan=plan, **{"X-Request-Id": given, "traceparent": TRACEPARENT})
    assert answer.headers["X-Request-Id"] == given
    trace, span = OURS.fullmatch(answer.headers["traceparent"]).groups()
    assert trace == TRACE_ID
    assert span not in TRACEPARENT
    for _, headers, _ in upstream.seen:
        assert (headers["X-Request-Id"], headers["traceparent"]) == (given, answer.headers["traceparent"])
    line = read_line(nginx, given)
    assert (line["request_id"], line["trace_id"], line["client"]) == (given, TRACE_ID, "alice")


@pytest.mark.parametrize("given", sendable(BAD_IDS))
def test_what_can_be_no_id_leaves_no_trace_and_a_fresh_one_is_made(nginx, post, upstream, given):
    answer = post(**{"X-Request-Id": given})
    assert answer.status_code == 200
    made = answer.headers["X-Request-Id"]
    assert FRESH.fullmatch(made)
    assert upstream.seen[0][1]["X-Request-Id"] == made
    assert read_line(nginx, made)["request_id"] == made
    assert given not in (nginx.folder / "access.log").read_text()


@pytest.mark.parametrize("given", sendable(BAD_TRACES))
def test_a_broken_traceparent_is_dropped_and_a_fresh_trace_begun(post, upstream, given):
    answer = post(traceparent=given)
    trace, _ = OURS.fullmatch(upstream.seen[0][1]["traceparent"]).groups()
    assert trace not in given.lower()
    assert answer.headers["traceparent"] == upstream.seen[0][1]["traceparent"]


def test_tracestate_and_baggage_stay_outside(post, upstream):
    post(traceparent=TRACEPARENT, tracestate="a=b", baggage="patient=DOE")
    assert not {"tracestate", "baggage"} & {name.lower() for name in upstream.seen[0][1]}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/predictions/lung_ct", 401), ("GET", "/model", 503), ("GET", "/predictions/lung_ct", 405)],
)
def test_a_refusal_names_the_callers_id_in_header_and_body(ask, method, path, status):
    key = {} if status == 401 else {"Authorization": f"Bearer {KEY}"}
    found, headers, body = ask(method, path, **key, **{"X-Request-Id": GOOD_IDS[1], "traceparent": TRACEPARENT})
    assert (found, headers["X-Request-Id"], json.loads(body)["request_id"]) == (status, GOOD_IDS[1], GOOD_IDS[1])
    assert OURS.fullmatch(headers["traceparent"]).group(1) == TRACE_ID


def test_a_form_keeps_its_id_through_the_sidecar(ask, upstream):
    form = '--B\r\nContent-Disposition: form-data; name="data"\r\n\r\nslice\r\n--B--\r\n'
    sent = {"Content-Type": "multipart/form-data; boundary=B", "Authorization": f"Bearer {KEY}"}
    named = {**sent, "X-Request-Id": GOOD_IDS[2], "traceparent": TRACEPARENT}
    status, headers, _ = ask("POST", "/predictions/lung_ct", form, **named)
    assert (status, headers["X-Request-Id"], upstream.seen[0][1]["X-Request-Id"]) == (200, GOOD_IDS[2], GOOD_IDS[2])
    status, headers, body = ask("POST", "/predictions/lung_ct", form[:-4], **named)
    assert (status, headers["X-Request-Id"], json.loads(body)["request_id"]) == (400, GOOD_IDS[2], GOOD_IDS[2])
