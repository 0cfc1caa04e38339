"""A batch as the front sends it -> its answers, in this process."""

import json

import pytest

from lungct.serving import Loaded
from lungct.serving.worker import answer
from tests.support.origins import GOOD_IDS, TRACE_ID, TRACEPARENT


class Collector:
    """In place of a sender of traces: keeps what it is told, and has lost one."""

    def __init__(self):
        self.calls = []

    def tell(self, calls):
        self.calls += calls

    def take_dropped(self):
        return 1


@pytest.fixture
def ask(pipeline):
    def run(requests, sender=None):
        asked = [
            {"headers": headers, "id": f"id-{i}", "length": len(body)} for i, (body, headers) in enumerate(requests)
        ]
        head, blob = answer(
            Loaded(pipeline, "engine", 2), asked, bytearray(b"".join(body for body, _ in requests)), sender
        )
        bodies, start = [], 0
        for each in head["replies"]:
            bodies.append(blob[start : start + each["length"]])
            start += each["length"]
        assert start == len(blob)
        return json.loads(json.dumps(head)), bodies

    return run


BAD_FORM = b'--B\r\nContent-Disposition: form-data; name=""\r\n\r\nx\r\n--B--\r\n'
FORM = {"content-type": "multipart/form-data; boundary=B", "x-request-id": GOOD_IDS[0]}


def test_each_request_gets_its_own_answer_whatever_its_neighbours_are(ask, slices):
    head, bodies = ask([(BAD_FORM, FORM), (slices[0], {}), (b"", {}), (slices[1], {"accept": "image/png"})])
    assert [reply["status"] for reply in head["replies"]] == [400, 200, 400, 200]
    assert json.loads(bodies[0])["request_id"] == GOOD_IDS[0]
    assert json.loads(bodies[2])["request_id"] == "id-2"
    assert bodies[3].startswith(b"\x89PNG")
    told = head["replies"][3]["headers"]
    score = json.loads(told.pop("X-Score"))
    assert told == {"content-type": "image/png", "X-Research-Use-Only": "true"}
    assert score.keys() == {"label", "confidence", "decision"}
    assert ask([(slices[0], {})])[1] == [bodies[1]]
    series = {(name, *values): value for name, *values, value in head["series"]}
    assert series["lung_ct_rejections_total", "bad_option"] == series["lung_ct_batches_total",] == 1
    assert sum(value for (name, *_), value in series.items() if name == "lung_ct_requests_total") == 4


def test_a_batch_of_forms_that_cannot_be_read_is_answered_without_a_forward_pass(ask):
    head, _ = ask([(BAD_FORM, FORM)] * 2)
    assert [reply["status"] for reply in head["replies"]] == [400, 400]
    assert not [name for name, *_ in head["series"] if "stage" in name]


def test_a_collector_is_told_of_what_was_scored_and_losses_are_counted(ask, slices):
    collector = Collector()
    head, _ = ask([(slices[0], {"traceparent": TRACEPARENT, "explain": "True"}), (BAD_FORM, FORM)], collector)
    (call,) = collector.calls
    assert (call.trace_id, call.attributes["route"], call.attributes["engine"]) == (TRACE_ID, "explanations", "engine")
    assert ["lung_ct_traces_dropped_total", 1] in head["series"]
