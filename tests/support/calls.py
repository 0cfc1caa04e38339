"""Calls on a running server that go past our client, and waiting with a deadline."""

import threading
import time

import requests

from lungct_client import Tokens


def token(server, kind="inference"):
    return {"Authorization": f"Bearer {Tokens(server.keys).read(kind)}"}


def post(server, body, path="/predictions/lung_ct", **headers):
    return requests.post(server.url("inference") + path, data=body, headers={**token(server), **headers}, timeout=60)


def wait_until(condition, deadline_s, what):
    ends = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < ends, f"{what}: not within {deadline_s} s"
        threading.Event().wait(0.1)
