"""What is known of a form's parts where TorchServe alone has read them."""

import base64

import pytest

from lungct.errors import LungCTError
from lungct.exchange.request import parse
from tests.support.pictures import GRAY, encode

SLICE = bytes(10_000)
LIMIT = 2048  # of what boundary and headers of a part may take


def ask(row, length, **parts):
    headers = {"Content-Type": "multipart/form-data; boundary=B", "Content-Length": str(length)}
    return parse(row, {**headers, **{name: {"content-type": kind} for name, kind in parts.items()}}, ())


def refused(row, length, match, **parts):
    with pytest.raises(LungCTError, match=match) as caught:
        ask(row, length, **parts)
    return caught.value.code


def test_a_form_that_arrived_whole_is_read_whatever_its_file_is_called():
    for overhead in (120, LIMIT):
        assert ask({"data": SLICE}, len(SLICE) + overhead).body == SLICE
    assert (
        ask({"data": SLICE, "heatmap": b"always", "note": "text" * 900}, len(SLICE) + 6 + 3600 + 400).heatmap
        == "always"
    )


def test_a_second_file_of_the_same_name_is_missed():
    assert refused({"data": SLICE}, 2 * len(SLICE) + 240, "two parts of one name") == "bad_option"


def test_a_form_without_a_whole_file_is_told_so_and_nothing_of_curl():
    for row in ({}, {"heatmap": b"always"}):
        with pytest.raises(LungCTError) as caught:
            ask(row, len(SLICE))
        assert (caught.value.code, "curl" in caught.value.message) == ("empty_body", False)
        assert "cut off" in caught.value.message


def test_a_form_of_untold_length_is_read():
    row, headers = {"data": SLICE}, {"Content-Type": "multipart/form-data; boundary=B"}
    assert parse(row, headers, ()).body == SLICE


@pytest.mark.parametrize("kind", ["multipart/mixed; boundary=B", "multipart/form-data", "Multipart/Related"])
def test_a_body_of_parts_that_is_no_form_is_told_what_to_send(kind):
    headers = {"Content-Type": kind, "body": {"content-type": kind.partition(";")[0]}}
    with pytest.raises(LungCTError, match="multipart/form-data") as caught:
        parse({"body": b"--B..."}, headers, ())
    assert caught.value.code == "unsupported_format"


@pytest.mark.parametrize("second", ["file", "other"])
def test_several_files_in_one_request_are_refused_with_the_folder_tool_named(second):
    parts = {name: {"content-type": "image/png"} for name in ("data", second)}
    with pytest.raises(LungCTError, match="make score") as caught:
        parse({"data": b"one", second: b"two"}, parts, ())
    assert caught.value.code == "bad_option"


@pytest.mark.parametrize("kind", ["text/plain", None])
def test_a_second_slice_is_a_file_whatever_its_part_or_grpcs_input_says_of_it(kind):
    parts = {"slice2": {"content-type": kind}} if kind else {}
    with pytest.raises(LungCTError, match="make score") as caught:
        parse({"data": b"one", "slice2": encode(GRAY, "PNG")}, parts, ())
    assert caught.value.code == "bad_option"
    assert parse({"slice2": encode(GRAY, "PNG")}, parts, ()).body == encode(GRAY, "PNG")
    with pytest.raises(LungCTError, match="make score"):
        parse({"data": b"one", "slice2": base64.b64encode(encode(GRAY, "PNG"))}, parts, ())
