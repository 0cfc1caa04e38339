"""What nginx cannot know: whether the server is ready, TorchServe's key of the hour, how many answers it gave, what
parts a form has.

Answers on a Unix socket that only nginx and its user can open.
"""

from __future__ import annotations

import json
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

from lungct.errors import LungCTError
from lungct.exchange import SCORE_HEADER
from lungct.exchange.form import is_form
from lungct_client import Client, RefusedError, ServerBusy, ServerError, TokenError
from lungct_tools.proxy import form
from lungct_tools.proxy.comparer import Comparer, Copy
from lungct_tools.proxy.nginx import CANDIDATE, SERVING
from lungct_tools.proxy.tally import Tally
from lungct_tools.server.deputy import Route
from lungct_tools.server.health import check_live

OPEN = ("/predictions/lung_ct", "/explanations/lung_ct", "/v2/models/lung_ct/infer")  # as in config/nginx/nginx.conf
OURS = {
    "host",
    "connection",
    "authorization",
    "content-length",
    "x-asked",
    "x-copy",
}  # what the second attempt sets itself
COPY = "/copy"  # before the path of one of them
KEPT = ("Content-Type", "X-Research-Use-Only", SCORE_HEADER)  # of the reply
# It has room for 8 kB of headers together, nginx for as much of each.
UNREADABLE = ("bad_request", "The server could not read the request; send fewer headers, or shorter ones.")
NOBODY = {"X-Answered-By": "gateway"}  # no model has answered


@dataclass
class Readiness:
    """The last word of the watchdog, and whether a drain has begun."""

    reason: str | None = "not checked yet"
    draining: bool = False

    @property
    def ready(self) -> bool:
        return self.reason is None and not self.draining


class Sidecar(ThreadingMixIn, UnixStreamServer):
    """Serves probes and descriptions, forms, and the second attempt of what TorchServe answered with 400 or 500;
    takes copies for the model of a shadow."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, socket: Path, route: Route, readiness: Readiness, renewed: Callable[[], None]) -> None:
        """Args: `renewed` is called before and after a second attempt: TorchServe's key may be another one."""
        socket.unlink(missing_ok=True)
        super().__init__(str(socket), _Answer)
        socket.chmod(0o600)
        self.readiness, self.renewed = readiness, renewed
        self.tally = Tally(socket.with_name("tally.sock"))
        self.comparer = Comparer(socket.with_name("scores.sock"))
        self.turn_to(route)

    def turn_to(self, route: Route) -> None:
        """Take this route from now on; what another server has been asked is waited for."""
        self.instance, self.client = route.server, Client(route.server, deadline_s=0, timeout_s=120)
        self.candidate = Client(route.candidate, deadline_s=0, timeout_s=120) if route.candidate else None
        self.tally.share(0 if route.shadow else route.percent)
        self.comparer.turn_to(route)

    def handle_error(self, *_: object) -> None:
        """A caller that went away is no fault of ours; anything else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            traceback.print_exc()

    def start(self) -> None:
        self.tally.start()
        self.comparer.start()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Answer(BaseHTTPRequestHandler):
    server: Sidecar

    def do_GET(self) -> None:
        """Which of these need a client's key is up to config/nginx/nginx.conf."""
        answers = {
            "/healthz": self._live,
            "/readyz": self._ready,
            "/model": self._describe,
            "/tally": self._count,  # for scripts/server/ledger.py; nginx has no way to it
            # Open Inference Protocol v2; TorchServe has none of these, and would call itself ready at all times
            "/v2": lambda: self._send(200, {"name": "LungServe", "version": version("lungct"), "extensions": []}),
            "/v2/health/live": self._live,
            "/v2/health/ready": self._ready,
            "/v2/models/lung_ct": lambda: self._describe("open_inference"),
            "/v2/models/lung_ct/ready": lambda: self._ready(name="lung_ct"),
        }
        answers.get(self.path, lambda: self.send_error(404))()

    do_HEAD = do_GET  # noqa: N815 -- the base class asks for this name

    def _count(self) -> None:
        self._send(200, {**self.server.tally.describe(), "shadow": self.server.comparer.describe()})

    def _live(self) -> None:
        live = check_live(self.server.instance) is None
        self._send(200 if live else 503, {"live": live})

    def _ready(self, **more: str) -> None:
        ready = self.server.readiness.ready
        self._send(200 if ready else 503, {**more, "ready": ready})

    def _describe(self, part: str = "") -> None:
        """model.json of the model that is served, and its engine, or a part; 503 where the server does not tell."""
        try:
            contract = self.server.client.contract()
            self._send(200, contract[part] if part else contract)
        except (ServerError, TokenError, RefusedError, KeyError):  # the last: an archive of before this part
            told = "The server does not describe its model now; try again."
            self._refuse(503, "unavailable", told)

    def do_POST(self) -> None:
        path = self.path.removeprefix(COPY)
        if path not in OPEN:  # TorchServe would get it with a good key
            self.send_error(404)
            return
        if path != self.path:
            self._copy(path)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type", "")
        first = is_form(kind)  # nginx has asked once itself but for forms, which come here at once
        if first:
            try:
                form.check(kind, body)
            except LungCTError as error:
                self._refuse(error.status, error.code, error.message)
                return
        self.server.renewed()  # a server that was started again has other tokens
        self._forward(body, self._read_headers(), first)
        self.server.renewed()

    def _read_headers(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name.lower() not in OURS}

    def _copy(self, path: str) -> None:
        """Take a request's copy, or none at once: the caller's connection waits for the answer."""
        length = int(self.headers.get("Content-Length") or 0)

        def read() -> Copy | None:
            body = self.rfile.read(length)
            whole = len(body) == length  # else its caller has gone
            return Copy(path, self._read_headers(), body) if whole else None

        taken = self.server.comparer.take(self.headers.get("X-Copy", ""), read)
        self._send_bytes(202 if taken else 503, {}, b"")

    def _forward(self, body: bytes, headers: dict[str, str], again: bool) -> None:
        """Ask TorchServe; once more where a worker was lost on the way and that was the first attempt.

        What is for the candidate and not answered there, the server is asked.
        """
        own, candidate = self.server.client, self.server.candidate
        clients = [candidate] if candidate and self.headers.get("X-Asked") == CANDIDATE else []
        for client in (*clients, own, *([own] if again else [])):
            told = {"X-Answered-By": SERVING if client is own else CANDIDATE}
            try:
                answer = client.call("POST", "inference", self.path, data=body, headers=headers)
            except RefusedError as error:
                ours = error.code.islower()  # TorchServe's own are names of its exceptions
                self._refuse(error.status, *((error.code, str(error)) if ours else UNREADABLE), told)
            except (ServerError, TokenError) as error:
                if client is own and isinstance(error, ServerBusy):
                    break
                continue
            else:
                kept = {name: answer.headers[name] for name in KEPT if name in answer.headers}
                self._send_bytes(answer.status_code, {**kept, **told}, answer.content)
            return
        self.close_connection = True  # nginx makes its 503 of it

    def _refuse(self, status: int, code: str, message: str, told: Mapping[str, str] = NOBODY) -> None:
        """In the body of our errors, with the id that nginx gave the request."""
        error = f"{code}: {message}" if self.path.startswith("/v2") else code  # what the protocol's clients show
        document = {"error": error, "message": message, "request_id": self.headers.get("X-Request-Id")}
        self._send(status, {**document, "research_use_only": True}, told)

    def _send(self, status: int, document: dict[str, Any], told: Mapping[str, str] = NOBODY) -> None:
        headers = {"Content-Type": "application/json", **told}
        if "request_id" in document:
            headers["X-Research-Use-Only"] = "true"
        self._send_bytes(status, headers, json.dumps(document).encode())

    def _send_bytes(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """nginx has the log."""
