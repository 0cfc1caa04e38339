"""Calls to the server's three APIs: tokens, timeouts, retries and typed errors are taken care of."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import requests
from urllib3.exceptions import ProtocolError

from lungct_client.address import Gateway, Local
from lungct_client.errors import RefusedError, ServerBusy, ServerDown, ServerError, ServerSilent, TokenError
from lungct_client.headers import name_options
from lungct_client.reply import Reply
from lungct_client.tokens import Tokens

# Trying again is right: the queue is full, a worker is missing, the gateway limits our rate or its server restarts;
BUSY = {429, 502, 503, 504}
# a worker died. With "error" in its body a 500 is the handler's own: the same file would fail again.
FAILED = {500, 507}
MAX_BYTES = 32 * 2**20  # a file; max_bytes of config/model-config.yaml
# Java holds what waits and copies what goes to a worker: ten files of MAX_BYTES at once are more than its heap.
LARGE, LARGE_AT_ONCE = 1_000_000, 4
FOREIGN = "What answered is no TorchServe with our model; what else listens at its ports?"


class Client:
    """Speaks to one server. May be shared by threads: each has a connection of its own."""

    def __init__(self, server: Local | Gateway, deadline_s: float = 60, timeout_s: float = 30) -> None:
        """Args: no attempt of a call starts later than `deadline_s` after the first; each may take `timeout_s`."""
        self._server = server
        self._tokens = Tokens(server.keys) if isinstance(server, Local) else None
        self._deadline_s, self._timeout_s = deadline_s, timeout_s
        ca = server.ca if isinstance(server, Gateway) else None
        self._verify = str(ca) if ca else True  # said with each request: REQUESTS_CA_BUNDLE would beat the session's
        self._local = threading.local()
        self._large = threading.BoundedSemaphore(LARGE_AT_ONCE)

    @classmethod
    def of(cls, run: Path, **options: float) -> Client:
        """A client of the server whose run folder this is."""
        return cls(Local.read(run), **options)

    def predict(self, body: bytes, **options: str | int) -> Reply:
        """Score one file; `options` are README's header options: heatmap="always", window="-600,1500", frame=3.

        With request_id=, 20 to 64 letters, digits, "-" and "_", the logs of a gateway and its server have that id.

        Raises:
            HeaderError: an option that cannot be sent.
            RefusedError: the server refused the file.
            ServerError: no good answer by the deadline.
            TokenError: the server does not accept our token, and it could not be renewed.
        """
        answer = self._post(body, name_options(options))
        return Reply(_read_json(answer), answer.headers.get("X-Request-Id"))

    def overlay(self, body: bytes, kind: str = "png", **options: str | int) -> bytes:
        """The heatmap over the slice as an encoded picture, "png" or "jpeg". Raises what `predict` raises."""
        return self._post(body, {**name_options(options), "Accept": f"image/{kind}"}).content

    def _post(self, body: bytes, headers: Mapping[str, str]) -> requests.Response:
        check_size(body)
        headers = {"Content-Type": "application/octet-stream", **headers}
        with self._large if len(body) >= LARGE else nullcontext():
            return self.call("POST", "inference", "/predictions/lung_ct", data=body, headers=headers)

    def describe(self) -> dict[str, Any]:
        """TorchServe's description of the model: workers, their state, batch settings. Raises what `call` raises."""
        return _read_model(self.call("GET", "management", "/models/lung_ct"))

    def contract(self) -> dict[str, Any]:
        """model.json of the model that is served, and its engine. Raises what `call` raises."""
        if isinstance(self._server, Gateway):
            return _read_json(self.call("GET", "inference", "/model"))
        answer = self.call("GET", "management", "/models/lung_ct", params={"customized": "true"})
        told = _read_model(answer).get("customizedMetadata")
        if not isinstance(told, dict):
            raise ServerError(FOREIGN)
        return told

    def scale(self, workers: int) -> None:
        """Ask for a number of workers; they are not ready yet when this returns. Raises what `call` raises."""
        self.call("PUT", "management", "/models/lung_ct", params={"min_worker": workers, "max_worker": workers})

    def metrics(self) -> str:
        """All metrics in Prometheus' text format. Raises what `call` raises."""
        return self.call("GET", "metrics", "/metrics").text

    def ping(self) -> None:
        """Ask the server whether it is there, which says little of its workers.

        TorchServe's /ping is 200 while they crash and start again, and 500, a ServerError here, once it has given them
        up.
        Raises what `call` raises.
        """
        self.call("GET", "inference", "/healthz" if isinstance(self._server, Gateway) else "/ping")

    def call(self, method: str, api: str, path: str, **arguments: Any) -> requests.Response:
        """One API call, retried with back-off and jitter while the server is busy or loses a worker.

        Raises:
            RefusedError: any other answer of 400 or more; trying again would not help.
            ServerError: no good answer by the deadline: ServerDown, ServerSilent, ServerBusy, or a worker that failed.
            TokenError: the server does not accept our token, and it could not be renewed.
        """
        ends = time.monotonic() + self._deadline_s
        renewed = False
        for attempt in count():
            token = self._choose_token(api)
            try:
                return self._attempt(method, api, path, token, **arguments)
            except TokenError:
                if renewed or self._tokens is None:
                    raise
                self._tokens.renew(api, token, self._server.url("management"))
                renewed = True
            except ServerError as error:
                asked = error.retry_after_s if isinstance(error, ServerBusy) else 0
                pause = asked + min(2.0, 0.05 * 2**attempt) * random.uniform(0.5, 1.5)  # noqa: S311 -- jitter
                if time.monotonic() + pause > ends:
                    raise
                time.sleep(pause)
        raise AssertionError("count() does not end")

    def _send(self, method: str, url: str, **arguments: Any) -> requests.Response:
        """Ask; once more where the connection was closed before anything was answered (RFC 9112, 9.3.1).

        nginx closes connections that are idle where it reads its settings anew, and a request may just be on its way.
        """
        place: dict[str, Any] = {"timeout": self._timeout_s, "verify": self._verify}
        try:
            return self._session.request(method, url, **place, **arguments)
        except requests.ConnectionError as error:
            if not (error.args and isinstance(error.args[0], ProtocolError)):
                raise
        return self._session.request(method, url, **place, **arguments)

    def _attempt(
        self, method: str, api: str, path: str, token: str, headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> requests.Response:
        """The answer, if it is a good one; else the error that says whether trying again can help."""
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = self._send(
                method, self._server.url(api) + path, headers={**(headers or {}), **authorization}, **arguments
            )
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            here = isinstance(self._server, Local)
            advice = "start it with `make serve`" if here else "is it up, and its certificate trusted?"
            raise ServerDown(f"No server at {self._server.url(api)}; {advice}.") from error
        except requests.Timeout as error:
            raise ServerSilent(f"No answer within {self._timeout_s:g} s.") from error
        except requests.RequestException as error:  # of the address: its scheme, its host, a redirection without end
            raise ServerDown(f"{self._server.url(api)} cannot be asked: give https://HOST:PORT.") from error
        if answer.status_code < 400:
            return answer
        problem = _read_error(answer)
        message = str(problem.get("message", answer.reason))
        if problem.get("type") == "InvalidKeyException":
            raise TokenError("The server does not accept our token.")
        failed = answer.status_code in FAILED and "error" not in problem
        if failed or problem.get("type") == "InternalServerException":  # also a 503: the handler itself raised
            raise ServerError(f"{answer.status_code}: {message}")
        if answer.status_code in BUSY:
            raise ServerBusy(f"{answer.status_code}: {message}", _read_pause(answer))
        code = str(problem.get("error") or problem.get("type") or "unknown").partition(":")[0]  # /v2: and the sentence
        raise RefusedError(answer.status_code, code, message, problem.get("request_id"))

    def _choose_token(self, api: str) -> str:
        if isinstance(self._server, Gateway):
            return self._server.key
        return "" if api == "metrics" or self._tokens is None else self._tokens.read(api)

    @property
    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = isinstance(self._server, Gateway)  # no proxy between us and loopback
        return self._local.session  # type: ignore[no-any-return]


def _read_json(answer: requests.Response) -> dict[str, Any]:
    """The document of a good answer; ServerError where another program than ours gave it."""
    try:
        return dict(answer.json())
    except (ValueError, TypeError):
        raise ServerError("What answered sent no JSON object; is LungServe at this address?") from None


def _read_model(answer: requests.Response) -> dict[str, Any]:
    """TorchServe's description of its one model; ServerError where another program than TorchServe gave it."""
    try:
        (found,) = answer.json()
        numbers = [found["minWorkers"], *(worker["pid"] for worker in found["workers"])]
        if all(type(number) is int for number in numbers) and all("status" in worker for worker in found["workers"]):
            return dict(found)
        raise ValueError
    except (ValueError, TypeError, KeyError):
        raise ServerError(FOREIGN) from None


def check_size(body: bytes) -> None:
    """RefusedError for a file that no server takes: TorchServe would end the connection in the middle of it."""
    if len(body) > MAX_BYTES:
        raise RefusedError(413, "too_many_bytes", f"The file is larger than {MAX_BYTES} bytes; send one slice.", None)


def _read_pause(answer: requests.Response) -> float:
    """Seconds that the server asks to wait; 0 where it does not, or names a date (RFC 9110, 10.2.3)."""
    asked = answer.headers.get("Retry-After", "")
    return float(asked) if asked.isdecimal() else 0.0


def _read_error(answer: requests.Response) -> dict[str, Any]:
    try:
        return dict(answer.json())
    except (ValueError, TypeError):
        return {}
