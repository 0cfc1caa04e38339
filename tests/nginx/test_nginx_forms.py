"""Forms at the gateway: every part arrives, or the sender is told."""

from contextlib import ExitStack

import pytest

from lungct.errors import LungCTError
from lungct_tools.proxy import form
from tests.nginx.callers import KEYS, read_limit, uploading
from tests.support.calls import wait_until
from tests.support.gateways import assert_refusal

pytestmark = pytest.mark.ops
FORM = {"Content-Type": "multipart/form-data; boundary=B"}
SLICE = bytes(range(256)) * 40 + b"\r\n--not a boundary\r\n"
END = b"--B--\r\n"


def part(name="data", content=SLICE, headers=b"Content-Type: image/png\r\n"):
    named = f'Content-Disposition: form-data; name="{name}"; filename="a.png"\r\n'.encode()
    return b"--B\r\n" + named + headers + b"\r\n" + content + b"\r\n"


def nested():
    inner = b"".join(b"--C\r\nContent-Disposition: file\r\n\r\n" + SLICE + b"\r\n" for _ in range(2)) + b"--C--"
    return part(content=inner, headers=b"Content-Type: multipart/mixed; boundary=C\r\n")


def test_a_form_goes_on_as_it_came(post, upstream):
    body = part("heatmap", b"always", b"") + part() + END
    assert post(body=body, **FORM, Accept="image/png").status_code == 200
    path, headers, arrived = upstream.seen[0]
    assert (path, arrived) == ("/predictions/lung_ct", body)
    assert (headers["Content-Type"], headers["Accept"]) == (FORM["Content-Type"], "image/png")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (part() + part() + END, "bad_option"),
        (part() + part("heatmap", b"always", b"") * 2 + END, "bad_option"),
        (part() + part(" data,") + END, "bad_option"),
        (part("") + END, "bad_option"),
        (nested() + END, "bad_option"),
        (part(headers=b"Content-Transfer-Encoding: base64\r\n") + END, "bad_option"),
        (part().replace(b'name="data"; ', b"") + END, "bad_option"),
        (b"".join(part(f"p{i}", b"") for i in range(65)) + END, "bad_option"),
        (part()[:5000], "empty_body"),
        (part(), "empty_body"),
        (part() + b"--B", "empty_body"),
        ((part() + END).replace(b"--B", b"--X"), "empty_body"),
        (b"no form at all", "empty_body"),
        (b"", "empty_body"),
    ],
    ids=[
        "two files of one name", "two options of one name", "one name to TorchServe", "an empty name",
        "several in one part", "encoded", "no name",
        "too many parts", "cut off", "no last boundary", "half a boundary", "another boundary", "no form", "nothing",
    ],
)  # fmt: skip
def test_a_form_of_which_not_all_would_be_read_is_refused_and_not_sent_on(post, upstream, body, code):
    refused = post(body=body, **FORM)
    assert (refused.status_code, upstream.seen) == (400, [])
    assert_refusal(refused, code)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ((part() + END).replace(b"\r\n", b"\n"), form.ASKEW),
        (b"This is a form.\r\n" + part() + END, form.ASKEW),
        ((part() + END).replace(b"--B", b"--X"), form.ASKEW),
        (part(), form.CUT_OFF),
    ],
    ids=["bare LF", "words before it", "another boundary", "cut off"],
)
def test_what_is_wrong_with_a_form_is_told(body, sentence):
    with pytest.raises(LungCTError) as caught:
        form.check(FORM["Content-Type"], body)
    assert (caught.value.code, caught.value.message) == ("empty_body", sentence)


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", "multipart/mixed; boundary=B", "Multipart/Related; boundary=B"]
)
def test_a_body_of_parts_that_is_no_form_is_told_what_to_send(post, upstream, kind):
    refused = post(body=part() + END, **{"Content-Type": kind})
    assert (refused.status_code, upstream.seen) == (415, [])
    assert_refusal(refused, "unsupported_format")


@pytest.mark.parametrize(
    ("plan", "status", "attempts"),
    [([500], 200, 2), ([None], 200, 2), ([500, 500], 503, 2), ([503], 503, 1), (["internal"], 500, 1), ([422], 422, 1)],
)
def test_a_form_gets_its_second_attempt_where_that_helps(post, upstream, plan, status, attempts):
    answer = post(body=part() + END, plan=plan, **FORM)
    assert (answer.status_code, len(upstream.seen)) == (status, attempts)


@pytest.mark.parametrize("header", ["Content-Type: multipart/form-data; boundary=B", "Content-Encoding: gzip"])
def test_forms_and_what_is_compressed_are_held_back_like_large_files(nginx, post, header):
    head = f"{header}\r\nContent-Length: 9"
    with ExitStack() as stack:
        for _ in range(read_limit("large_of_one")):
            stack.enter_context(uploading(nginx, head))
        wait_until(lambda: post(body=part() + END, **FORM).status_code == 429, 60, "no more forms of one client")
        assert post().status_code == 200
        assert post(body=part() + END, key=KEYS["bob"], **FORM).status_code == 200
    wait_until(lambda: post(body=part() + END, **FORM).status_code == 200, 60, "room again")


def test_no_byte_of_a_form_that_is_none_reaches_a_log(caplog):
    """Its parser told at which byte it stopped, and which one it was."""
    with pytest.raises(LungCTError):
        form.check("multipart/form-data; boundary=x", b"a patient's name")
    assert not caplog.records
