"""The ids that a caller brings along, and those that are not taken for one."""

import re

import pytest

from lungct.exchange.origin import REQUEST_ID, TRACE, Origin, read_origin
from lungct_tools.proxy.nginx import TEMPLATE
from tests.support.origins import BAD_IDS, BAD_TRACES, GOOD_IDS, TRACE_ID, TRACEPARENT


@pytest.mark.parametrize("given", GOOD_IDS)
def test_an_id_of_a_program_is_kept_whatever_the_case_of_its_header(given):
    assert read_origin({"X-Request-ID": given}, "made").request_id == given
    assert read_origin({"x-request-id": given}, "made").request_id == given


@pytest.mark.parametrize("given", BAD_IDS)
def test_what_could_be_a_patient_or_breaks_a_line_is_no_id(given):
    assert read_origin({"X-Request-Id": given}, "made") == ("made", None, None)


def test_a_form_part_of_that_name_is_no_header():
    assert read_origin({"X-Request-Id": {"Content-Type": "text/plain"}, "traceparent": {}}, "made") == (
        "made",
        None,
        None,
    )


def test_of_a_traceparent_the_trace_is_kept_and_told_beside_the_id():
    origin = read_origin({"traceparent": TRACEPARENT, "tracestate": "a=b", "baggage": "name=DOE"}, "made")
    assert origin == ("made", TRACE_ID, TRACEPARENT.split("-")[2])
    assert str(origin) == f"made of trace {TRACE_ID}"
    assert str(Origin("made")) == "made"


@pytest.mark.parametrize("given", BAD_TRACES)
def test_a_traceparent_that_breaks_its_grammar_is_none(given):
    assert read_origin({"traceparent": given}, "made") == ("made", None, None)


@pytest.mark.parametrize(("variable", "grammar"), [("id", REQUEST_ID), ("trace_id", TRACE)])
def test_the_gateway_has_the_same_grammars(variable, grammar):
    pattern = rf'map \$\w+ \${variable} {{\s+default \$request_id;\s+"~\^(.+)\\z" '
    said = re.findall(pattern, TEMPLATE.read_text())[0]
    assert re.sub(r"\?<\w+>", "", said).replace("(", "").replace(")", "") == re.sub("[()]", "", grammar.pattern)
