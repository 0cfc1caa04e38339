import base64
import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungct.errors import LungCTError
from lungct.exchange.request import parse
from lungct.window import Window
from tests.support.pictures import GRAY, encode
from tests.support.tensors import oip

CLASSES = ("Benign", "Malignant", "Normal")


def refused(row, headers=None):
    with pytest.raises(LungCTError) as caught:
        parse(row, headers or {}, CLASSES)
    return caught.value.code


@pytest.mark.parametrize("field", ["body", "data", "file"])
def test_the_file_may_be_the_body_or_a_form_field(field):
    assert parse({field: bytearray(b"bytes")}, {}, CLASSES).body == b"bytes"


def test_headers_are_matched_in_any_case():
    request = parse({"body": b"x"}, {"x-HEATMAP": "Always", "X-heatmap-class": "benign", "ACCEPT": "*/*"}, CLASSES)
    assert (request.heatmap, request.heatmap_class, request.accept) == ("always", "Benign", "application/json")


def test_form_fields_are_options_without_x_and_with_underscores():
    row = {"data": b"x", "heatmap": bytearray(b"abnormal"), "heatmap_colormap": bytearray(b"viridis"), "note": b"\xff"}
    request = parse(row, {"data": {"content-type": "image/png"}}, CLASSES)
    assert (request.heatmap, request.heatmap_colormap) == ("abnormal", "viridis")


@pytest.mark.parametrize("name", ["X-Heatmap-Class", "x-heatmap-class", "heatmap-class", "Heatmap_Class"])
def test_an_option_by_its_headers_name_is_not_passed_over_in_a_form_or_in_json(name):
    """A window or a frame that nobody heeds is another answer than was asked for."""
    file, tensor = base64.b64encode(b"x").decode(), oip()
    for row in ({"data": b"x", name: b"Benign"}, {"body": {"data": file, name: "Benign"}}):
        assert parse(row, {}, CLASSES).heatmap_class == "Benign"
    assert parse({"body": {**tensor, "parameters": {name: "Benign"}}}, {}, CLASSES).heatmap_class == "Benign"
    assert refused({"data": b"x", name: b"Benign", "heatmap_class": b"Normal"}) == "bad_option"


def test_a_form_without_parts_carries_the_file_in_base64_whatever_it_is_called():
    file = bytes(range(256)) * 40 + b"\xff\xfe"
    for fields in (
        {"data": base64.b64encode(b"BM" + file)},
        {"window": "40,400", "data": base64.b64encode(b"BM" + file)},
    ):
        asked = parse({"body": urlencode(fields).encode()}, {"Content-Type": "application/octet-stream"}, ())
        assert (asked.body, asked.window is None) == (b"BM" + file, "window" not in fields)
    with pytest.raises(LungCTError, match="two parts of one name"):
        parse({"body": b"data=AAAA&data=BBBB"}, {}, ())


def test_json_carries_the_file_in_base64_with_options_beside_it():
    body = {"data": base64.b64encode(b"file").decode(), "heatmap": "always", "window": "40,400"}
    request = parse({"body": body}, {"Content-Type": "application/json"}, CLASSES)
    assert (request.body, request.heatmap, request.window) == (b"file", "always", Window(40, 400))


def test_explanations_always_get_a_heatmap():
    assert parse({"body": b"x"}, {"explain": "True"}, CLASSES).heatmap == "always"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("image/png", "image/png"),
        ("image/webp, image/jpeg;q=0.8", "image/jpeg"),
        ("image/png, application/json", "application/json"),
        ("image/png, */*", "application/json"),
        ("image/png, application/json;q=0.9", "image/png"),
        ("application/json;q=0.5, image/jpeg; q=0.8, image/png;q=0.7", "image/jpeg"),
        ("application/json;q=0, image/*", "image/png"),
        ("image/png;q=0, */*", "application/json"),
        ("image/png;q=0.4, */*;q=0.5, application/json;q=0", "image/jpeg"),
        ("IMAGE/PNG;Q=1", "image/png"),
        ("image/png;q=none", "image/png"),
        ("text/html", "application/json"),
        (";q=1, ,", "application/json"),
        ("", "application/json"),
    ],
)
def test_a_client_that_accepts_only_pictures_gets_the_overlay(accept, expected):
    request = parse({"body": b"x"}, {"Accept": accept}, CLASSES)
    assert request.accept == expected
    assert request.heatmap == ("none" if expected == "application/json" else "always")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Heatmap", "yes"),
        ("X-Heatmap-Class", "Cancer"),
        ("X-Heatmap-Method", "magic"),
        ("X-Heatmap-Format", "gif"),
        ("X-Heatmap-Size", "huge"),
        ("X-Heatmap-Colormap", "rainbow"),
        ("X-Window", "40"),
        ("X-Window", "40,0"),
        ("X-Window", "nan,400"),
        ("X-Frame", "-1"),
        ("X-Frame", "9" * 5000),
    ],
)
def test_an_option_we_do_not_know_is_refused_by_name(header, value):
    with pytest.raises(LungCTError, match=header) as caught:
        parse({"body": b"x"}, {header: value}, CLASSES)
    assert caught.value.code == "bad_option"


@pytest.mark.parametrize("row", [{}, {"body": b""}, {"data": bytearray()}, {"body": {"data": ""}}])
def test_no_bytes_is_an_empty_body_and_says_how_to_send_them(row):
    assert refused(row) == "empty_body"


@pytest.mark.parametrize(
    "row",
    [
        {"data": b""},
        {"body": {"data": ""}},
        {"body": b'{"data": ""}'},
        {"body": {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [""]}]}},
    ],
)
def test_an_empty_file_that_arrived_is_told_nothing_of_curl(row):
    with pytest.raises(LungCTError) as caught:
        parse(row, {}, CLASSES)
    assert (caught.value.code, "curl" in caught.value.message) == ("empty_body", False)


def test_json_without_a_file_is_an_empty_body_and_a_json_file_is_no_slice():
    declared = {"Content-Type": "application/json; charset=utf-8"}
    assert refused({"body": b'{"heatmap": "none"}'}, declared) == "empty_body"
    for row in ({"body": b'{"patient": 1}'}, {"data": b'{"patient": 1}'}):
        with pytest.raises(LungCTError, match="JSON file is no slice") as caught:
            parse(row, {}, CLASSES)
        assert caught.value.code == "unsupported_format"


def test_what_only_begins_like_json_goes_to_the_decoder_as_the_file_it_is():
    assert parse({"body": rb"{\rtf1 a document}"}, {}, CLASSES).body == rb"{\rtf1 a document}"


def test_a_text_body_is_refused_with_the_right_content_type_named():
    with pytest.raises(LungCTError, match="application/octet-stream") as caught:
        parse({"body": "hello"}, {"Content-Type": "text/plain"}, CLASSES)
    assert caught.value.code == "unsupported_format"


@pytest.mark.parametrize("body", [bytearray(b"{bad"), [1, 2, 3], 12, "x", None])
def test_json_that_is_no_object_is_refused(body):
    assert refused({"body": body}, {"Content-Type": "application/json"}) == "bad_option"


@pytest.mark.parametrize("before", ["", " \r\n", "\ufeff"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_json_as_windows_writes_it_is_read_whatever_it_is_called(before, encoding):
    body = (before + json.dumps({"data": base64.b64encode(b"file").decode()})).encode(encoding)
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "application/json; charset=utf-16"}):
        assert parse({"body": body}, headers, CLASSES).body == b"file"


def test_two_files_in_one_json_are_two_whatever_the_second_is_called():
    text = base64.b64encode(encode(GRAY, "PNG")).decode()
    bitmap = base64.b64encode(encode(GRAY, "BMP")).decode()
    tensor = {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]}]}
    for second in (text, f"\n {text}", bitmap, [text], [[bitmap]]):
        for document in ({"data": text, "second": second}, {**tensor, "parameters": {"second": second}}):
            with pytest.raises(LungCTError, match="make score"):
                parse({"body": document}, {}, CLASSES)
    assert parse({"body": {**tensor, "parameters": {"heatmap": "always"}}}, {}, CLASSES).heatmap == "always"
    assert parse({"body": {"data": text, "note": "from the second scanner"}}, {}, CLASSES).body == encode(GRAY, "PNG")


def test_the_window_of_the_file_itself_may_be_asked_for():
    assert parse({"body": b"x"}, {"X-Window": " File "}, CLASSES).window == "file"


def test_a_text_field_that_is_no_option_is_not_taken_for_a_file():
    parts = {"data": {"content-type": "image/png"}, "note": {"content-type": "text/plain"}}
    assert parse({"data": b"one", "note": b"two"}, parts, CLASSES).body == b"one"


def test_json_without_its_content_type_is_read_too():
    body = json.dumps({"data": base64.b64encode(b"file").decode()}).encode()
    assert parse({"body": bytearray(body)}, {}, CLASSES).body == b"file"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["body", "data", "file", "inputs", "heatmap", "window", "frame", "heatmap_class"])


def test_json_of_more_parts_than_a_request_needs_is_not_read_to_its_end():
    """Millions of them would hold up all others for seconds, and what lies deep in each other be a fault of ours."""
    for many in (",".join(f'"a{n}": {n}' for n in range(2000)), f'"x": {"[" * 400}{"]" * 400}'):
        body = f'{{"data": "Qk0A", {many}}}'.encode()
        for headers in ({"Content-Type": "application/json"}, {}):
            with pytest.raises(LungCTError, match="more than 200 values; the file is one text in base64"):
                parse({"body": body}, headers, CLASSES)


@given(
    row=st.dictionaries(names, anything, max_size=4),
    headers=st.dictionaries(
        st.sampled_from(
            ["X-Heatmap", "X-Frame", "X-Window", "Accept", "inference-header-content-length", "Content-Type"]
        ),
        st.text() | st.just("application/json"),
        max_size=4,
    ),
)
def test_whatever_arrives_is_a_request_or_an_error_with_a_code(row, headers):
    try:
        assert parse(row, headers, CLASSES).body
    except LungCTError as error:
        assert error.status in (400, 415, 422)
