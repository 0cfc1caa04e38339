"""The keys of the front without TorchServe, in TorchServe's file: who may ask which of its APIs."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lungct_tools.server.runfolder import write_whole

BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)


class KeyFile:
    """Three keys, written where `lungct_client.Tokens` reads them: that of the "API" renews the two that expire."""

    def __init__(self, path: Path, minutes: float) -> None:
        self._path, self._life = path, timedelta(minutes=minutes)
        self._keys = {"API": secrets.token_urlsafe(24)}
        self._ends: dict[str, datetime] = {}
        for kind in ("management", "inference"):
            self._make(kind)
        self._write()

    def renew(self, kind: str) -> bool:
        """A fresh key of a kind that expires, which ends the one before; False where there is no such kind."""
        if kind not in self._ends:
            return False
        self._make(kind)
        self._write()
        return True

    def allows(self, kind: str, given: Sequence[str]) -> bool:
        """Whether a request with these Authorization headers may ask; `kind` is "inference", "management" or "API"."""
        found = BEARER.fullmatch(given[0]) if len(given) == 1 else None
        if not found or (kind in self._ends and datetime.now(UTC) >= self._ends[kind]):
            return False
        return hmac.compare_digest(found[1].encode(), self._keys[kind].encode())

    def _make(self, kind: str) -> None:
        self._keys[kind] = secrets.token_urlsafe(24)
        self._ends[kind] = datetime.now(UTC) + self._life

    def _write(self) -> None:
        document = {
            kind: {"key": key, **({"expiration time": self._ends[kind].isoformat()} if kind in self._ends else {})}
            for kind, key in self._keys.items()
        }
        write_whole(self._path, json.dumps(document), 0o600)
