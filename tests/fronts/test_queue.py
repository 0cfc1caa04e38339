"""A queue that is full, and a worker that dies or hangs with requests in its hands."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from lungct_client import Client
from tests.support.calls import post, settle, wait_until

pytestmark = pytest.mark.server


def test_what_finds_no_place_in_the_queue_gets_503_at_once_and_all_others_their_answer(server, client):
    described = client.describe()
    held, places = described["batchSize"], described["jobQueueStatus"]["remainingCapacity"]
    pid = described["workers"][0]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(held + places + 20) as pool:
            asked = [pool.submit(post, server, b"no picture") for _ in range(held + places + 20)]
            wait_until(lambda: sum(each.done() for each in asked) >= 20, 50, "some are refused")
            full = client.describe()["jobQueueStatus"]
            os.kill(pid, signal.SIGCONT)
            answers = [each.result() for each in asked]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert full == {"remainingCapacity": 0, "pendingRequests": places}
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.status_code for answer in answers} == {415, 503}
    assert 20 <= len(refused) < 20 + held  # the first batch may have left before it was full
    assert {answer.json()["type"] for answer in refused} == {"ServiceUnavailableException"}


def test_a_request_whose_worker_dies_is_told_so_and_may_be_sent_again(server, client, slices):
    victim, asked = client.describe()["workers"][0]["pid"], []

    def count_waiting():
        return client.describe()["jobQueueStatus"]["pendingRequests"]

    def one_waits():
        asked.append(pool.submit(post, server, slices[0]))
        return count_waiting()

    os.kill(victim, signal.SIGSTOP)
    with ThreadPoolExecutor(40) as pool:
        try:
            wait_until(one_waits, 30, "a request behind those that the worker has")
            assert 0 < settle(count_waiting) < len(asked), "the first one is in its hands"
        finally:
            os.kill(victim, signal.SIGKILL)
        answer = asked[0].result(timeout=60)
    assert answer.status_code in (500, 507)  # TorchServe knows both for it
    assert answer.json()["message"] == "Worker died."
    assert Client(server, deadline_s=90).predict(slices[0])["label"]
    assert client.describe()["workers"][0]["pid"] != victim
