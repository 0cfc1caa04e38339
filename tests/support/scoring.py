"""A server that answers every request with a score, where a test says which one and when."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SCORE = {"label": "Benign", "confidence": 0.75, "decision": "refer"}


class Scoring(BaseHTTPRequestHandler):
    """Answers with the server's `status` and `score`, once its `release` is set."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits 40 ms for the head's acknowledgement

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, dict(self.headers), body))
        self.server.release.wait(60)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        if self.server.status == 200:
            self.send_header("X-Score", json.dumps(self.server.score))
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@contextmanager
def scoring(**score):
    """Such a server; `seen` are path, headers and body of each request."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Scoring) as server:
        server.seen, server.status, server.score, server.release = [], 200, SCORE | score, threading.Event()
        server.release.set()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.release.set()
        server.shutdown()
