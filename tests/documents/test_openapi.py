"""The OpenAPI description is what the code says, and the answers are what it says."""

import json

import pytest
from jsonschema import Draft202012Validator

from lungct.errors import STATUS
from lungct.exchange.request import CHOICES, OPTIONS, parse
from lungct_tools import ROOT
from lungct_tools.documents.openapi import build, describe_options, read_gateway, render
from tests.conftest import MODEL
from tests.support.dicoms import build_ct
from tests.test_pipeline import score

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text())
SCORE = DOCUMENT["paths"]["/predictions/lung_ct"]["post"]


def resolve(node):
    """What a reference leads to."""
    while "$ref" in node:
        path = node["$ref"].removeprefix("#/").split("/")
        node = DOCUMENT
        for part in path:
            node = node[part]
    return node


def check(operation, status, content_type, body):
    """Hold an answer to what its operation says of this status."""
    content = resolve(operation["responses"][str(status)])["content"]
    schema = content[content_type]["schema"]
    if content_type == "application/json":
        Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(json.loads(body))


def test_the_file_is_what_the_code_says():
    assert (ROOT / "docs" / "openapi.json").read_text() == render(build(MODEL)), (
        "run: lungct openapi > docs/openapi.json"
    )


def test_defaults_are_those_of_a_request_that_asks_for_nothing():
    bare = parse({"body": b"x"}, {}, ("A", "B"))
    told = {name: schema["default"] for name, schema in describe_options(("A", "B")).items() if name in CHOICES}
    assert told == {name: getattr(bare, name) for name in CHOICES}


def test_every_schema_is_one_and_every_reference_leads_somewhere():
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    references = [line.split('"')[3] for line in render(DOCUMENT).splitlines() if '"$ref"' in line]
    assert references
    assert all(resolve({"$ref": reference}) for reference in references)


def test_every_option_and_every_code_of_ours_and_of_the_gateway_is_told():
    named = {resolve(each)["name"].removeprefix("X-").replace("-", "_").lower() for each in SCORE["parameters"]}
    assert named == {*OPTIONS, "request_id", "traceparent"}
    for code, status in [*STATUS.items(), *((code, status) for status, code in read_gateway().items())]:
        assert code in resolve(SCORE["responses"][str(status)])["description"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Heatmap": "always"},
        {"X-Heatmap": "always", "X-Heatmap-Format": "grid", "X-Heatmap-Class": "Normal"},
        {"Accept": "image/jpeg"},
        {"X-Window": "-600.5,1500"},
        {"X-Heatmap": "sometimes"},
        {"X-Heatmap-Method": "scorecam"},
    ],
    ids=str,
)
def test_replies_are_as_described(pipeline, slices, headers):
    for reply in score(pipeline, slices[0], build_ct(), b"", b"no picture", **headers):
        check(SCORE, reply.status, reply.content_type, reply.body)


def test_a_field_that_is_not_described_would_be_found(pipeline, slices):
    document = json.loads(score(pipeline, slices[0])[0].body)
    for changed in (document | {"more": 1}, {key: value for key, value in document.items() if key != "model"}):
        assert not Draft202012Validator(DOCUMENT["components"]["schemas"]["Reply"]).is_valid(changed)
