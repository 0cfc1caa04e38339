"""A body and its headers -> a row as TorchServe makes it, for a front that has no TorchServe."""

import gzip
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungct.errors import LungCTError
from lungct.exchange import parse
from lungct.serving.rows import MAX_PARTS, read_row

FORM = {"content-type": "multipart/form-data; boundary=B"}


def part(name, content, more=b""):
    return b'--B\r\nContent-Disposition: form-data; name="' + name + b'"' + more + b"\r\n\r\n" + content + b"\r\n"


def test_a_body_is_one_field_and_keeps_its_headers():
    headers = {"content-type": "image/png; x=y", "x-heatmap": "always"}
    assert read_row(b"\x89PNG", headers) == ({"body": b"\x89PNG"}, {"body": {"content-type": "image/png"}, **headers})


def test_a_forms_parts_are_fields_and_those_with_a_file_name_tell_their_type():
    file = b'; filename="a.dcm"\r\nContent-Type: application/dicom'
    row, headers = read_row(part(b"data", b"x\r\n--C", file) + part(b"heatmap", b"always") + b"--B--\r\n", FORM)
    assert row == {"data": b"x\r\n--C", "heatmap": b"always"}
    assert headers == {"data": {"content-type": "application/dicom"}, **FORM}
    assert parse(row, headers, ()).heatmap == "always"


@pytest.mark.parametrize("cut", [1, 4, 20, 6000])
def test_a_form_that_was_cut_off_is_told_so_however_little_is_missing(cut):
    whole = part(b"data", bytes(5000)) + part(b"window", b"40,400") + b"--B--"
    assert read_row(whole, FORM)[0].keys() == {"data", "window"}
    with pytest.raises(LungCTError, match="cut off") as caught:
        read_row(whole[:-cut], FORM)
    assert caught.value.code == "empty_body"


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (part(b"data", b"1") + part(b"data", b"2"), "two parts of one name"),
        (part(b"data", b"--C", b"\r\nContent-Type: multipart/mixed; boundary=C"), "one slice"),
        (part(b"", b"1"), "no name"),
        (part(b"data", b"MQ==", b"\r\nContent-Transfer-Encoding: base64"), "encoded"),
        (b"".join(part(b"%d" % i, b"") for i in range(MAX_PARTS + 1)), "too many"),
    ],
)
def test_a_form_of_which_something_would_be_lost_is_refused(form, told):
    with pytest.raises(LungCTError, match=told) as caught:
        read_row(form + b"--B--\r\n", FORM)
    assert caught.value.code == "bad_option"


@pytest.mark.parametrize("kind", ["multipart/mixed; boundary=B", "multipart/form-data", "Multipart/Related"])
def test_a_body_of_parts_that_is_no_form_is_told_what_to_send(kind):
    headers = {"content-type": kind}
    with pytest.raises(LungCTError, match="multipart/form-data") as caught:
        parse(*read_row(b"--B...", headers), ())
    assert caught.value.code == "unsupported_format"


def test_curls_default_type_leaves_no_body_and_a_real_form_its_fields():
    headers = {"content-type": "application/x-www-form-urlencoded"}
    noise = np.random.default_rng(0).bytes(5000)
    assert [read_row(body, headers)[0] for body in (noise, b"\xff", b"&".join([b"a=1"] * 65))] == [{}] * 3
    assert read_row(b"data=a%2Bb&heatmap=none", headers)[0] == {"data": b"a+b", "heatmap": b"none"}
    with pytest.raises(LungCTError, match="two parts of one name"):
        read_row(b"data=a%2Bb&data=c", headers)


@given(
    st.binary(max_size=400), st.sampled_from(["multipart/form-data; boundary=B", "multipart/form-data", ";", "a/b;="])
)
def test_whatever_arrives_is_a_row_or_a_refusal(body, kind):
    for whole in (body, part(b"data", body) + body, part(b"data", b"", body)):
        try:
            row, headers = read_row(whole, {"content-type": kind})
        except LungCTError:
            continue
        assert all(isinstance(value, bytes) for value in row.values())
        assert headers["content-type"] == kind


def test_json_and_what_is_compressed_are_left_to_who_parses():
    for body in (json.dumps({"data": "AA=="}).encode(), gzip.compress(b"x")):
        assert read_row(body, {"content-type": "application/json"})[0] == {"body": body}
