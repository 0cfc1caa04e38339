"""TorchServe's own keys: read, and renewed by one process at a time."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from lungct_client.address import read_plain
from lungct_client.errors import TokenError

KEY = re.compile(r"[ !#%-\[\]-~]+")  # what a header, and nginx's settings, can hold


@dataclass(frozen=True)
class Tokens:
    """TorchServe's key_file.json. The API key renews the other two, which expire after an hour."""

    path: Path

    def read(self, kind: str) -> str:
        """The present "inference", "management" or "API" key; "" when there is no file yet, or a damaged one."""
        for _ in range(50):
            try:
                key = str(json.loads(read_plain(self.path))[kind]["key"])
                return key if KEY.fullmatch(key) else ""
            except (OSError, KeyError, TypeError):  # no file, or a document that is none of TorchServe's
                return ""
            except ValueError:  # TorchServe is writing it: two keys expire at once, and it knows no atomic replacement
                time.sleep(0.01)
        return ""

    def renew(self, kind: str, rejected: str, management_url: str) -> str:
        """A fresh key; TokenError when there is none to be had.

        Renewing kills the old one for everybody, so only one process does it at a time.
        """
        import fcntl  # Windows has none, and there a gateway is asked, which renews its tokens itself

        if not self.path.is_file():
            raise TokenError(f"No server was started from {self.path.parent}; see --run.")
        path = self.path.with_name("key_file.lock")
        try:
            opened = self._open_lock(path)
        except OSError as error:
            raise TokenError(
                f"The {kind} token has expired and {path} cannot be written to renew it ({error.strerror}). "
                "The user who started the server can; others go through the gateway."
            ) from None
        with os.fdopen(opened, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (current := self.read(kind)) != rejected:
                return current  # somebody else was faster
            if not self._ask(kind, management_url):
                raise TokenError(f"The {kind} token was rejected and could not be renewed; restart the server.")
            return self.read(kind)

    def _open_lock(self, path: Path) -> int:
        """A descriptor of the lock, which is the keys' owner's also where root needed it first. Raises OSError."""
        with suppress(FileExistsError):
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            if os.geteuid() == 0:
                owner = self.path.lstat()
                with suppress(PermissionError):
                    os.fchown(opened, owner.st_uid, owner.st_gid)
            return opened
        return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # of a pipe: an error, no wait

    def _ask(self, kind: str, management_url: str) -> bool:
        """Have TorchServe write a fresh key into its file; whether it did."""
        headers = {"Authorization": f"Bearer {self.read('API')}"}
        with requests.Session() as session:
            session.trust_env = False  # no proxy between us and loopback
            try:
                answer = session.get(f"{management_url}/token", params={"type": kind}, headers=headers, timeout=10)
            except requests.RequestException:
                return False
        return answer.status_code == 200
