"""Calls on a running server that go past our client, and waiting with a deadline."""

import threading
import time
from http.client import HTTPResponse

import requests

from lungct_client import Tokens


def token(server, kind="inference"):
    return {"Authorization": f"Bearer {Tokens(server.keys).read(kind)}"}


def post(server, body, path="/predictions/lung_ct", **headers):
    return requests.post(server.url("inference") + path, data=body, headers={**token(server), **headers}, timeout=60)


def read_answer(connection):
    """Status and body of the answer that comes over a connection, in as many pieces as it may."""
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


def settle(look):
    """What a look gives, and has given for a second: who counts does it a moment after the answer."""
    seen = []

    def stands():
        seen.append(look())
        return len(seen) > 10 and all(each == seen[-1] for each in seen[-10:])

    wait_until(stands, 60, "it stands still")
    return seen[-1]


def wait_found(look, deadline_s, what):
    """What a look gives, once it gives something. It may be gone at the next look."""
    found = []
    wait_until(lambda: found.append(look()) or found[-1], deadline_s, what)
    return found[-1]


def wait_until(condition, deadline_s, what):
    ends = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < ends, f"{what}: not within {deadline_s} s"
        threading.Event().wait(0.1)
