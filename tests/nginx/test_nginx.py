"""What passes nginx, what is tried again, and what probes are good for."""

import json
import re
import socket
import time

import pytest

from lungct.exchange.request import OPTIONS
from lungct_tools.proxy.nginx import TEMPLATE, GatewayError, Nginx, make_certificate
from lungct_tools.proxy.sidecar import OPEN
from lungct_tools.proxy.tally import REFUSALS
from lungct_tools.server.instance import Instance
from lungct_tools.server.ledger import ask as ask_tally
from tests.nginx.callers import KEY
from tests.support.calls import settle, wait_until
from tests.support.gateways import ASTRAY, assert_refusal, read_counts

pytestmark = pytest.mark.ops
HIDDEN = {"canary"}  # a monitor's own option: clients must not be able to hide from the metrics


def test_only_headers_of_ours_reach_the_server(post, upstream):
    allowed = {f"X-{name.replace('_', '-').title()}": "some" for name in OPTIONS if name not in HIDDEN}
    forbidden = {
        "describe": "True", "explain": "True", "X-Canary": "yes", "Cookie": "a=b", "X-Forwarded-For": "1.2.3.4",
        "Upgrade": "h2c", "TE": "trailers", "Proxy-Authorization": "Basic x", "X-Note": "/token", "X-Any": "1",
        "X-Gateway-Time": "1.000",
    }  # fmt: skip
    answer = post(**allowed, **forbidden, Accept="image/png", **{"Content-Type": "image/png"})
    assert answer.status_code == 200
    path, headers, body = upstream.seen[0]
    assert (path, body) == ("/predictions/lung_ct", b"slice")
    assert {headers.pop(name) for name in ("X-Request-Id", "traceparent")} == {
        answer.headers[name] for name in ("X-Request-Id", "traceparent")
    }
    assert abs(float(headers.pop("X-Gateway-Time")) - time.time()) < 60
    assert headers == {
        **allowed, "Accept": "image/png", "Content-Type": "image/png", "Content-Length": "5", "Host": "localhost",
        "Authorization": "Bearer of the hour",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "arrives"),
    [
        ("/predictions/lung_ct?url=x&a=b", "/predictions/lung_ct"),
        ("//predictions//lung_ct", "/predictions/lung_ct"),
        ("/%70redictions/lung_ct", "/predictions/lung_ct"),
        ("/PREDICTIONS/LUNG_CT", "/predictions/lung_ct"),
    ],
)
def test_what_arrives_is_one_of_our_routes_letter_for_letter(post, upstream, asked, arrives):
    assert post(asked).status_code == 200
    assert upstream.seen[0][0] == arrives


def test_a_form_content_type_becomes_plain_bytes(post, upstream):
    post(**{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})
    assert upstream.seen[0][1]["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("plan", "status", "attempts"),
    [
        ([500], 200, 2),  # a worker died
        ([None], 200, 2),  # the connection broke
        ([500, 500], 503, 2),
        (["internal", "internal"], 500, 2),  # the file's fault: the same again
        ([400, 200], 200, 2),  # the token had expired
        ([400, 400], 400, 2),
        ([None, None], 503, 2),
        ([503], 503, 1),  # the queue is full: more load helps nobody
        ([507], 503, 1),
        ([422], 422, 1),
        ([413, 413], 413, 2),  # in the handler's words
    ],
)
def test_a_request_gets_a_second_attempt_where_that_helps(post, upstream, plan, status, attempts):
    answer = post(plan=plan)
    assert (answer.status_code, len(upstream.seen)) == (status, attempts)
    assert {body for _, _, body in upstream.seen} == {b"slice"}
    if status in (200, 400, 422):
        assert answer.headers["X-Research-Use-Only"] == "true"
    assert answer.headers.get("Retry-After") == ("2" if status == 503 else None)
    if status in (500, 503):
        assert answer.json()["research_use_only"] is True


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer  ", "bEaReR "])
def test_the_scheme_of_a_key_has_no_case(post, scheme):
    assert post(Authorization=f"{scheme}{KEY}").status_code == 200
    assert post(Authorization=f"{scheme}{'0' * 64}").status_code == 403
    assert post(Authorization=f"Basic {KEY}").status_code == 403


@pytest.mark.parametrize(("coding", "arrives"), [("gzip", "gzip"), ("X-GZIP", "gzip"), ("identity", None)])
def test_gzip_goes_on_and_no_coding_needs_no_word(post, upstream, coding, arrives):
    assert post(**{"Content-Encoding": coding}).status_code == 200
    assert upstream.seen[0][1].get("Content-Encoding") == arrives


@pytest.mark.parametrize(
    ("coding", "kind"),
    [
        ("deflate", "image/png"),
        ("br", "image/png"),
        ("gzip, gzip", "image/png"),
        ("gzip", "multipart/form-data; boundary=B"),
    ],
)
def test_any_other_coding_is_refused_with_the_one_that_is_read(post, upstream, coding, kind):
    refused = post(**{"Content-Encoding": coding, "Content-Type": kind})
    assert (refused.status_code, upstream.seen) == (415, [])
    assert_refusal(refused, "unsupported_format")
    assert "gzip" in refused.json()["message"]


@pytest.mark.parametrize("path", ["/model", "/v2/models/lung_ct"])
def test_a_server_that_does_not_describe_its_model_is_told_in_our_body(ask, path):
    status, headers, body = ask("GET", path, Authorization=f"Bearer {KEY}")
    assert (status, headers["Content-Type"]) == (503, "application/json")
    assert json.loads(body).keys() == {"error", "message", "request_id", "research_use_only"}


@pytest.mark.parametrize("path", ASTRAY)
def test_no_path_that_ends_at_a_probe_takes_a_request_without_a_key_to_the_server(ask, upstream, path):
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        status, _, body = ask(method, path)
        assert (status, b'"error": "method_not_allowed"' in body) == (405, True), method
    assert ask("POST", path, b"slice")[0] == 413
    assert ask("GET", path)[0] in (200, 503)
    assert not [seen for seen in upstream.seen if seen[0] != "/ping"]


def test_a_probe_can_be_asked_for_its_head(ask):
    for path in ("/healthz", "/readyz"):
        status, headers, body = ask("HEAD", path)
        whole, _, told = ask("GET", path)
        assert (status, body, int(headers["Content-Length"])) == (whole, b"", len(told))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_probe_takes_no_body(ask, chunked):
    body = iter([b"some", b"thing"]) if chunked else b"something"
    status, _, told = ask("GET", "/readyz", body)
    assert (status, b'"error": "too_many_bytes"' in told) == (413, True)


def test_the_sidecar_itself_answers_its_probes_and_the_open_routes_only(nginx, upstream):
    upstream.seen, upstream.plan = [], []

    def ask(method, path):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(str(nginx.socket))
            plain.sendall(f"{method} {path} HTTP/1.0\r\n\r\n".encode())
            return int(plain.makefile("rb").readline().split()[1])

    assert set(re.findall(r"^ +(/\S+) \1;", TEMPLATE.read_text(), re.MULTILINE)) == set(OPEN)
    assert [ask("POST", path) for path in OPEN] == [200] * 3
    for path in ("/healthz", "/models", "/predictions/lung_ct/1.2", "/predictions/lung_ct?a=b", *ASTRAY):
        assert ask("POST", path) == 404, path
    for path in ("/", "/ready", "/readyz?a=b", "/healthz/", *OPEN):
        assert ask("GET", path) == ask("HEAD", path) == 404, path
    assert [seen[0] for seen in upstream.seen] == list(OPEN)


def test_answers_are_counted_by_status_refusals_included(nginx, post):
    def count():
        return read_counts(nginx.folder.parent)["responses"]

    before = settle(count)
    assert set(REFUSALS) <= set(before)
    assert post().status_code == 200
    assert [post(key="0" * 64).status_code for _ in range(3)] == [403] * 3
    assert post(plan=[422]).status_code == 422

    def grown():
        now = count()
        return {status: now[status] - before.get(status, 0) for status in now if now[status] != before.get(status, 0)}

    wait_until(lambda: grown() == {"200": 1, "403": 3, "422": 1}, 60, "all are counted")


def test_where_no_gateway_runs_nothing_is_counted(tmp_path):
    assert ask_tally(tmp_path) == {}


def test_a_server_that_never_ran_and_a_path_too_long_are_told_in_a_sentence(tmp_path):
    rest = ("127.0.0.1:1", tmp_path / "c", *make_certificate(tmp_path), 1, tmp_path / "uploads")
    nginx = Nginx(Instance(tmp_path), tmp_path, *rest)
    with pytest.raises(GatewayError, match="make serve"):
        nginx.write()
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    with pytest.raises(GatewayError, match="LUNG_CT_RUN"):
        Nginx(Instance(deep), deep, *rest).write()


def test_a_certificate_is_kept_while_it_is_good(tmp_path):
    first = make_certificate(tmp_path)[0].read_bytes()
    assert make_certificate(tmp_path)[0].read_bytes() == first
