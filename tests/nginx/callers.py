"""What callers of nginx hold: keys, large files, and requests that do not end."""

import json
import re
import socket
import ssl
from contextlib import contextmanager

from lungct_tools.proxy.nginx import TEMPLATE

KEYS = {name: pair * 32 for name, pair in (("alice", "ab"), ("bob", "cd"), ("carol", "ef"), ("dave", "01"))}
KEY = KEYS["alice"]
LARGE = bytes(1_000_000)


@contextmanager
def uploading(nginx, length, sent=b"", key=KEY, head="POST /predictions/lung_ct HTTP/1.1"):
    """A request, alice's unless told, of which nothing comes after `sent`."""
    context = ssl.create_default_context(cafile=str(nginx.certificate))
    host, port = nginx.listen.split(":")
    head = (head, "Host: x", f"Authorization: Bearer {key}", length, "", "")
    plain = socket.create_connection((host, port), timeout=20)
    with context.wrap_socket(plain, server_hostname="localhost") as secure:
        secure.sendall("\r\n".join(head).encode() + sent)
        yield


def read_limit(zone):
    (limit,) = set(re.findall(rf"limit_conn {zone} (\d+);", TEMPLATE.read_text()))
    return int(limit)


def assert_ours(status, body):
    document = json.loads(body)
    if status == 503 and "ready" in document:
        return
    assert {"error", "message", "request_id", "research_use_only"} == set(document)
    assert document["request_id"]
