"""How nginx holds large files and greedy clients back."""

import re
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
import yaml

from lungct_client.client import LARGE_AT_ONCE
from lungct_tools import ROOT
from lungct_tools.proxy.nginx import TEMPLATE
from tests.nginx.callers import KEYS, LARGE, read_limit, uploading
from tests.support.calls import wait_until
from tests.support.gateways import assert_refusal, read_master

pytestmark = pytest.mark.ops


def test_one_address_cannot_hold_more_than_some_probes_at_once(nginx, ask):
    most, head = read_limit("probes_in_flight"), "GET /readyz HTTP/1.1"
    with ExitStack() as stack:
        for _ in range(most):
            stack.enter_context(uploading(nginx, "Transfer-Encoding: chunked", head=head))
        wait_until(lambda: ask("GET", "/readyz")[0] == 429, 60, "no more of them")
        assert b'"error": "too_many_requests"' in ask("GET", "/healthz")[2]
    wait_until(lambda: ask("GET", "/readyz")[0] == 503, 60, "room again")


def test_large_files_of_all_clients_and_all_requests_of_one_are_held_back_each_for_itself(nginx, post):
    of_all, of_one, large_of_one = map(read_limit, ("large", "in_flight", "large_of_one"))
    names = list(KEYS)
    with ExitStack() as stack:
        for i in range(of_all):
            key = KEYS[names[i // large_of_one]]
            assert post(body=LARGE, key=key).status_code == 200
            length = "Transfer-Encoding: chunked" if i % 2 else f"Content-Length: {len(LARGE)}"
            stack.enter_context(uploading(nginx, length, key=key))
        last = KEYS[names[of_all // large_of_one]]
        wait_until(lambda: post(body=LARGE, key=last).status_code == 503, 60, "no more large ones")
        for body in (LARGE, iter([b"of no ", b"told length"])):
            refused = post(body=body, key=last)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")
            assert_refusal(refused, "unavailable")
        for _ in range(of_one - large_of_one):
            assert post().status_code == 200
            stack.enter_context(uploading(nginx, "Content-Length: 9"))
        wait_until(lambda: post().status_code == 429, 60, "no more of one client")
        assert_refusal(post(), "too_many_requests")
        assert post(key=last).status_code == 200
    wait_until(lambda: post(body=LARGE).status_code == 200, 60, "room again")


def test_one_client_cannot_take_the_places_of_all_for_large_files(nginx, post):
    assert 2 * read_limit("large_of_one") < read_limit("large")
    assert read_limit("large_of_one") >= LARGE_AT_ONCE, "our client alone would be refused"
    with ExitStack() as stack:
        for _ in range(read_limit("large_of_one")):
            stack.enter_context(uploading(nginx, f"Content-Length: {len(LARGE)}"))
        wait_until(lambda: post(body=LARGE).status_code == 429, 60, "no more large ones of one client")
        refused = post(body=LARGE)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert_refusal(refused, "too_many_requests")
        assert post().status_code == 200
        assert post(body=LARGE, key=KEYS["bob"]).status_code == 200
    wait_until(lambda: post(body=LARGE).status_code == 200, 60, "room again")


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
        files = []
        for worker in psutil.Process(read_master(nginx.folder)).children():
            for link in Path(f"/proc/{worker.pid}/fd").iterdir():
                with suppress(FileNotFoundError):  # closed meanwhile
                    files.append(link.readlink())
        return [file for file in files if file.is_relative_to(nginx.folder) and file.name.endswith("(deleted)")]

    with uploading(nginx, "Content-Length: 9000000", bytes(8_999_999)):
        wait_until(find_open, 60, "it is there")
        assert {file.parent for file in find_open()} == {nginx.uploads}
        assert not list(nginx.uploads.iterdir())
    wait_until(lambda: not find_open(), 60, "it is gone")
