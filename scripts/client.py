"""A client for the server's three APIs: tokens, timeouts, retries and typed errors are taken care of.

from scripts.client import Client
reply = Client.of(Path(".run")).predict(Path("slice.png").read_bytes(), heatmap="abnormal")
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import requests

from scripts.instance import Instance

# TorchServe answers these when a worker died, when none is there, and when the queue is full: trying again is right.
RETRIED = {500, 502, 503, 504, 507}
MAX_BYTES = 32 * 2**20  # a file; max_bytes of config/model-config.yaml


class ServerError(Exception):
    """The server could not answer within the deadline: it is down, busy, or failing."""


class ServerDown(ServerError):
    """Nothing listens at the address."""


class RefusedError(Exception):
    """The server refused this input; sending it again will not help.

    Attributes:
        status: HTTP status.
        code: stable error code, see README.
        request_id: for the operator.
    """

    def __init__(self, status: int, code: str, message: str, request_id: str | None) -> None:
        super().__init__(message)
        self.status, self.code, self.request_id = status, code, request_id


class TokenError(Exception):
    """The server does not accept our token and it cannot be renewed."""


@dataclass(frozen=True)
class Tokens:
    """TorchServe's key_file.json. The API key renews the other two, which expire after an hour."""

    path: Path

    def read(self, kind: str) -> str:
        """The present "inference", "management" or "API" key; "" when there is no file yet."""
        try:
            return str(json.loads(self.path.read_text())[kind]["key"])
        except (OSError, ValueError, KeyError):
            return ""

    def renew(self, kind: str, rejected: str, management_url: str) -> str:
        """A fresh key. Renewing kills the old one for everybody, so only one process does it at a time."""
        with (self.path.parent / "key_file.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (current := self.read(kind)) != rejected:
                return current  # somebody else was faster
            answer = requests.get(
                f"{management_url}/token",
                params={"type": kind},
                headers={"Authorization": f"Bearer {self.read('API')}"},
                timeout=10,
            )
            if answer.status_code != 200:
                raise TokenError(f"The {kind} token was rejected and could not be renewed; restart the server.")
            return self.read(kind)


class Client:
    """Speaks to one server. May be shared by threads: each has a connection of its own."""

    def __init__(self, instance: Instance, deadline_s: float = 60, timeout_s: float = 30) -> None:
        """Args: `deadline_s` bounds a call with all its retries, `timeout_s` one attempt."""
        self._instance = instance
        self._tokens = Tokens(instance.keys)
        self._deadline_s, self._timeout_s = deadline_s, timeout_s
        self._local = threading.local()

    @classmethod
    def of(cls, run: Path, **options: float) -> Client:
        """A client of the server whose run folder this is."""
        return cls(Instance.read(run), **options)

    def predict(self, body: bytes, **options: str) -> dict[str, Any]:
        """Score one file; `options` are README's header options: heatmap="always", window="-600,1500".

        Raises:
            RefusedError: the server refused the file.
            ServerError: no answer within the deadline.
        """
        return dict(self._post(body, _as_headers(options)).json())

    def overlay(self, body: bytes, kind: str = "png", **options: str) -> bytes:
        """The heatmap over the slice as an encoded picture, "png" or "jpeg"."""
        headers = {**_as_headers(options), "Accept": f"image/{kind}"}
        return self._post(body, headers).content

    def _post(self, body: bytes, headers: Mapping[str, str]) -> requests.Response:
        if len(body) > MAX_BYTES:  # TorchServe closes the connection in the middle of such an upload
            raise RefusedError(
                413, "too_many_bytes", f"The file is larger than {MAX_BYTES} bytes; send one slice.", None
            )
        return self.call("POST", "inference", "/predictions/lung_ct", data=body, headers=headers)

    def describe(self) -> dict[str, Any]:
        """TorchServe's description of the model: workers, their state, batch settings."""
        return dict(self.call("GET", "management", "/models/lung_ct").json()[0])

    def contract(self) -> dict[str, Any]:
        """model.json of the model that is served, and its engine."""
        answer = self.call("GET", "management", "/models/lung_ct", params={"customized": "true"}).json()[0]
        return dict(answer["customizedMetadata"])

    def scale(self, workers: int) -> None:
        """Ask for a number of workers; they are not ready yet when this returns."""
        self.call("PUT", "management", "/models/lung_ct", params={"min_worker": workers, "max_worker": workers})

    def metrics(self) -> str:
        """All metrics in Prometheus' text format."""
        return self.call("GET", "metrics", "/metrics").text

    def ping(self) -> bool:
        """Whether TorchServe answers at all. It says nothing of the workers: /ping is 200 during a crash loop."""
        return self.call("GET", "inference", "/ping").status_code == 200

    def call(self, method: str, api: str, path: str, **arguments: Any) -> requests.Response:
        """One API call, retried with back-off and jitter while the server is busy or loses a worker."""
        ends = time.monotonic() + self._deadline_s
        renewed = False
        for attempt in count():
            token = "" if api == "metrics" else os.environ.get("LUNG_CT_TOKEN") or self._tokens.read(api)
            try:
                return self._attempt(method, api, path, token, **arguments)
            except TokenError:
                if renewed:
                    raise
                self._tokens.renew(api, token, self._instance.url("management"))
                renewed = True
            except ServerError:
                pause = min(2.0, 0.05 * 2**attempt) * random.uniform(0.5, 1.5)  # noqa: S311 -- jitter, no secret
                if time.monotonic() + pause > ends:
                    raise
                time.sleep(pause)
        raise AssertionError("count() does not end")

    def _attempt(
        self, method: str, api: str, path: str, token: str, headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> requests.Response:
        """The answer, if it is a good one; else the error that says whether trying again can help."""
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = self._session.request(
                method,
                self._instance.url(api) + path,
                headers={**(headers or {}), **authorization},
                timeout=self._timeout_s,
                **arguments,
            )
        except requests.ConnectionError as error:
            raise ServerDown(f"No server at {self._instance.url(api)}; start it with `make serve`.") from error
        except requests.Timeout as error:
            raise ServerError(f"No answer within {self._timeout_s:g} s.") from error
        if answer.status_code < 400:
            return answer
        problem = _read_error(answer)
        message = str(problem.get("message", answer.reason))
        if problem.get("type") == "InvalidKeyException":
            raise TokenError("The server does not accept our token.")
        if answer.status_code in RETRIED and "error" not in problem:
            raise ServerError(f"{answer.status_code}: {message}")
        code = str(problem.get("error") or problem.get("type") or "unknown")
        raise RefusedError(answer.status_code, code, message, problem.get("request_id"))

    @property
    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False  # no proxy between us and loopback
        return self._local.session  # type: ignore[no-any-return]


def _as_headers(options: Mapping[str, str]) -> dict[str, str]:
    named = {"X-" + name.replace("_", "-").title(): value for name, value in options.items()}
    return {"Content-Type": "application/octet-stream", **named}


def _read_error(answer: requests.Response) -> dict[str, Any]:
    try:
        return dict(answer.json())
    except ValueError:
        return {}
