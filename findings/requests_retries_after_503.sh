#!/usr/bin/env bash
# Believed: HTTPAdapter(max_retries=3) repeats failed connections only, as its documentation says, and Retry with 503 in
#           status_forcelist repeats a prediction that was turned away.
# True:     with max_retries=3 a GET that got 503 with Retry-After is sent four times, waiting as long as the server asks;
#           a POST is sent once, with that list too: it needs allowed_methods=None.
# Version:  requests 2.34.2, urllib3 2.8.0
# Matters:  a gateway that sheds load sends just that reply: health checks wait, and predictions, all POSTs, fail at once.
source "$(dirname "$0")/preamble"
packages requests==2.34.2 urllib3==2.8.0
venv/bin/python - <<'PY'
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

print(*(f"{p} {version(p)}" for p in ("requests", "urllib3")))

class Busy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    calls = 0

    def answer(self):
        Busy.calls += 1
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(503)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer

    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
Thread(target=server.serve_forever, daemon=True).start()

def calls(method, retries):
    Busy.calls = 0
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=retries))
    try:
        session.request(method, f"http://127.0.0.1:{server.server_port}/", data=b"x")
    except requests.exceptions.RetryError:
        pass
    return Busy.calls

seen = {"GET, max_retries=3": calls("GET", 3), "POST, max_retries=3": calls("POST", 3),
        "POST, 503 listed": calls("POST", Retry(3, status_forcelist=[503])),
        "POST, 503 listed, any method": calls("POST", Retry(3, status_forcelist=[503], allowed_methods=None))}
print("believed: 1, 1, 4, 4 calls; seen", seen)
raise SystemExit(not (list(seen.values()) == [4, 1, 1, 4]))
PY
