"""The real nginx before an upstream that writes down what arrives: what passes, what is tried again."""

import re
import socket
import ssl
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
import requests
import yaml
from lungct.request import OPTIONS

from scripts.instance import ROOT, Instance, find_ports
from scripts.keys import write_clients
from scripts.proxy.nginx import TEMPLATE, GatewayError, Nginx, make_certificate
from scripts.proxy.sidecar import Readiness, Sidecar
from scripts.serve import find_busy
from tests.calls import wait_until
from tests.gateways import assert_refusal, skip_without_nginx

pytestmark = pytest.mark.ops
KEY, OTHER_KEY = "ab" * 32, "cd" * 32
LARGE = bytes(1_000_000)
HIDDEN = {"canary"}  # a monitor's own option: clients must not be able to hide from the metrics


class Recorder(BaseHTTPRequestHandler):
    """Answers with the next planned status; None closes the connection without any, "internal" is the handler's 500."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), body))
        status = self.server.plan.pop(0) if self.server.plan else 200
        if status is None:
            self.close_connection = True
            return
        body = b'{"error": "internal", "request_id": "7"}' if status == "internal" else b"{}"
        self.send_response(500 if status == "internal" else status)
        for name, value in {
            "Content-Type": "application/json",
            "X-Request-Id": "7",
            "Content-Length": len(body),
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def upstream():
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def nginx(upstream, tmp_path_factory):
    skip_without_nginx()
    folder = tmp_path_factory.mktemp("nginx")
    (folder / "key_file.json").write_text('{"inference": {"key": "of the hour"}}')
    write_clients(folder / "clients.map", {"alice": KEY, "bob": OTHER_KEY})
    instance = Instance(folder, (upstream.server_port, 9, 9, 9, 9))
    port = find_ports(1)[0]
    pair, uploads = make_certificate(folder), folder / "uploads"
    made = Nginx(instance, folder, f"127.0.0.1:{port}", folder / "clients.map", *pair, rate=1000, uploads=uploads)
    made.write()
    sidecar = Sidecar(made.socket, instance, Readiness(), lambda: None)
    sidecar.start()
    process = made.start()
    wait_until(lambda: find_busy((port,)), 10, "nginx listens")
    yield made
    process.terminate()
    process.wait(10)
    sidecar.shutdown()


@pytest.fixture
def post(nginx, upstream):
    upstream.seen, upstream.plan = [], []

    def send(path="/predictions/lung_ct", plan=(), body=b"slice", key=KEY, **headers):
        upstream.plan[:] = plan
        url, bearer = f"https://{nginx.listen}{path}", {"Authorization": f"Bearer {key}"}
        return requests.post(url, body, headers={**bearer, **headers}, verify=nginx.certificate, timeout=20)

    return send


def test_only_headers_of_ours_reach_the_server(post, upstream):
    allowed = {f"X-{name.replace('_', '-').title()}": "some" for name in OPTIONS if name not in HIDDEN}
    forbidden = {
        "describe": "True", "explain": "True", "X-Canary": "yes", "Cookie": "a=b", "X-Forwarded-For": "1.2.3.4",
        "Upgrade": "h2c", "TE": "trailers", "Proxy-Authorization": "Basic x", "X-Note": "/token", "X-Any": "1",
    }  # fmt: skip
    answer = post(**allowed, **forbidden, Accept="image/png", **{"Content-Type": "image/png"})
    assert answer.status_code == 200
    path, headers, body = upstream.seen[0]
    assert (path, body) == ("/predictions/lung_ct", b"slice")
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
        ([413], 413, 1),
    ],
)
def test_a_request_gets_a_second_attempt_where_that_helps(post, upstream, plan, status, attempts):
    answer = post(plan=plan)
    assert (answer.status_code, len(upstream.seen)) == (status, attempts)
    assert {body for _, _, body in upstream.seen} == {b"slice"}
    assert answer.headers.get("Retry-After") == ("2" if status == 503 else None)
    if status in (500, 503):
        assert answer.json()["research_use_only"] is True


@contextmanager
def uploading(nginx, length, sent=b""):
    """alice's request, of which nothing comes after `sent`."""
    context = ssl.create_default_context(cafile=str(nginx.certificate))
    host, port = nginx.listen.split(":")
    head = ("POST /predictions/lung_ct HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}", length, "", "")
    plain = socket.create_connection((host, port), timeout=20)
    with context.wrap_socket(plain, server_hostname="localhost") as secure:
        secure.sendall("\r\n".join(head).encode() + sent)
        yield


def read_limit(zone):
    (limit,) = set(re.findall(rf"limit_conn {zone} (\d+);", TEMPLATE.read_text()))
    return int(limit)


def test_large_files_of_all_clients_and_all_requests_of_one_are_held_back_each_for_itself(nginx, post):
    of_all, of_one = read_limit("large"), read_limit("in_flight")
    with ExitStack() as stack:
        for i in range(of_all):
            assert post(body=LARGE).status_code == 200
            length = "Transfer-Encoding: chunked" if i % 2 else f"Content-Length: {len(LARGE)}"
            stack.enter_context(uploading(nginx, length))
        wait_until(lambda: post(body=LARGE).status_code == 503, 10, "no more large ones")
        for body in (LARGE, iter([b"of no ", b"told length"])):
            refused = post(body=body, key=OTHER_KEY)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
            assert_refusal(refused, "unavailable")
        for _ in range(of_one - of_all):
            assert post().status_code == 200
            stack.enter_context(uploading(nginx, "Content-Length: 9"))
        wait_until(lambda: post().status_code == 429, 10, "no more of one client")
        assert post(key=OTHER_KEY).status_code == 200
    wait_until(lambda: post(body=LARGE).status_code == 200, 10, "room again")


def test_no_client_can_take_half_of_the_queue_and_large_files_not_half_of_the_heap():
    queue = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())["jobQueueSize"]
    assert read_limit("in_flight") < queue / 2
    heap = re.search(r"-Xmx(\d+)g", (ROOT / "config" / "config.properties").read_text())[1]
    largest = re.search(r"client_max_body_size (\d+)m;", TEMPLATE.read_text())[1]
    small = queue * len(LARGE)
    assert read_limit("large") * int(largest) * 2**20 < int(heap) * 2**30 / 2
    assert read_limit("large") * int(largest) * 2**20 + small < int(heap) * 2**30 * 2 / 3


def test_a_file_of_no_told_length_arrives_whole_and_with_one(post, upstream):
    assert post(body=iter([b"sl", b"ice"])).status_code == 200
    _, headers, body = upstream.seen[0]
    assert (headers["Content-Length"], body) == ("5", b"slice")


def test_a_large_file_gets_its_second_attempt_too(post, upstream):
    assert post(body=LARGE, plan=[500]).status_code == 200
    assert [len(body) for _, _, body in upstream.seen] == [len(LARGE)] * 2


def test_a_file_over_two_mebibytes_is_in_the_folder_for_uploads_while_it_arrives_and_has_no_name(nginx):
    def find_open():
        workers = psutil.Process(int((nginx.folder / "nginx.pid").read_text())).children()
        files = [link.readlink() for worker in workers for link in Path(f"/proc/{worker.pid}/fd").iterdir()]
        return [file for file in files if file.is_relative_to(nginx.folder) and file.name.endswith("(deleted)")]

    with uploading(nginx, "Content-Length: 9000000", bytes(8_999_999)):
        wait_until(find_open, 10, "it is there")
        assert {file.parent for file in find_open()} == {nginx.uploads}
        assert not list(nginx.uploads.iterdir())
    wait_until(lambda: not find_open(), 10, "it is gone")


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
