"""Many large pictures at once, before the real TorchServe: nobody gets a 500 and nobody waits for long."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import pytest

from lungct_client import Client
from tests.support.calls import post
from tests.support.pictures import encode

pytestmark = pytest.mark.server
AT_ONCE, RETRY_S = 6, 1


@pytest.fixture(scope="module")
def large(phantoms):
    return encode(cv2.resize(phantoms[2], (4000, 4000), interpolation=cv2.INTER_CUBIC), "PNG")


def measure(call):
    started = time.monotonic()
    return call(), time.monotonic() - started


def test_overlays_of_the_largest_slices_at_once_cost_no_more_than_in_a_row_and_hold_up_nobody(server, slices, large):
    clients = [Client(server, deadline_s=240, timeout_s=120) for _ in range(AT_ONCE)]
    worker = clients[0].describe()["workers"][0]["pid"]
    first = clients[0].overlay(large)

    def ask_in_a_row():
        return measure(lambda: [client.overlay(large) for client in clients])[1]

    def ask_small(waits, ended):
        while not ended.is_set():
            waits.append(measure(lambda: Client(server).predict(slices[0]))[1])

    def ask_at_once():
        """Seconds for all, and the longest that a caller with a small slice waited meanwhile."""
        waits, ended = [], threading.Event()
        beside = threading.Thread(target=ask_small, args=(waits, ended))
        beside.start()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            pictures, seconds = measure(lambda: list(pool.map(lambda client: client.overlay(large), clients)))
        ended.set()
        beside.join()
        assert pictures == [first] * AT_ONCE
        return seconds, max(waits)

    seen = []

    def is_fine():
        """Who is told to come again rests RETRY_S; a small request waits 5 s where one overlay takes 1.2 s."""
        in_a_row, (at_once, longest) = ask_in_a_row(), ask_at_once()
        seen.append((in_a_row, at_once, longest))
        return at_once < 2 * in_a_row + RETRY_S and longest < max(5, 4 * in_a_row / AT_ONCE)

    assert any(is_fine() for _ in range(3)), seen  # a busy machine is slow, not wrong
    assert clients[0].describe()["workers"][0]["pid"] == worker


def test_what_is_too_much_for_a_batch_is_told_to_come_again(server, large):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: post(server, large, Accept="image/png"), range(AT_ONCE)))
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert sum(answer.status_code == 200 for answer in answers) >= 2
    for answer in answers:
        if answer.status_code == 503:
            assert answer.json()["error"] == "busy"
            assert answer.headers["Retry-After"] == "1"


def test_a_reply_in_pieces_is_whole(server, large):
    document = post(server, large, **{"X-Heatmap": "always"})
    assert document.status_code == 200
    assert len(document.content) > 2**21
    assert document.json()["heatmap"]["content_type"] == "image/png"
