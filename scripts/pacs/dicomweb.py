"""DICOMweb (PS3.18): store results, look for series, fetch instances as the bytes that the archive holds.

Redirects are not followed and no address in an answer is asked: an archive cannot send us elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from lungct_tools.folder.source import MAX_BYTES

TIMEOUT_S, ECHO_S = 60.0, 5.0
MOST_JSON = 64 * 2**20  # bytes of one answer to a query
_DICOM, _JSON = "application/dicom", "application/dicom+json"
_CONTENT = (400, 413, 415, 422)  # statuses that are about what was sent; others are about us or the archive


class ArchiveError(Exception):
    """The archive cannot do it now: it is away, busy, fails, or does not know us yet. Later it may."""


class ArchiveRefusal(Exception):
    """The archive will not have this content, however often it is sent."""


class DicomWeb:
    """One archive. Threads may not share it.

    Args:
        address: such as https://pacs.example.org/dicom-web.
        credentials: file of one line, NAME:PASSWORD or Bearer TOKEN; it must not be readable by others.
        ca: PEM file of who signed the archive's certificate, if the system does not trust them.
    """

    def __init__(self, address: str, credentials: Path | None = None, ca: Path | None = None) -> None:
        self.address = address.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no .netrc
        self._verify: str | bool = str(ca) if ca else True
        if credentials:
            self._session.headers["Authorization"] = read_credentials(credentials)

    def store(self, study: str, files: Sequence[bytes]) -> None:
        """Store instances of one study (PS3.18 10.5); returns when the archive has confirmed each.

        Raises:
            ArchiveError: try again later.
            ArchiveRefusal: the archive will not have them.
        """
        digest = hashlib.sha256()
        for each in files:
            digest.update(each)
        boundary = digest.hexdigest()
        head = f"--{boundary}\r\nContent-Type: {_DICOM}\r\n\r\n".encode()
        pieces = [piece for each in files for piece in (head, each, b"\r\n")]  # maps are large; one copy is enough
        body = b"".join([*pieces, f"--{boundary}--\r\n".encode()])
        kind = f'multipart/related; type="{_DICOM}"; boundary={boundary}'
        answer = self._ask("POST", f"/studies/{study}", {"Content-Type": kind, "Accept": _JSON}, data=body)
        document = _read_json(answer)
        failed = _list_items(document, "00081198")
        if failed:
            raise ArchiveRefusal(f"The archive failed {len(failed)} of {len(files)} objects: {_name_reasons(failed)}.")
        if len(_list_items(document, "00081199")) < len(files):
            raise ArchiveError("The archive did not confirm every object.")

    def answers(self) -> bool:
        """Whether the archive is there and lets us in."""
        try:
            self._ask("GET", "/studies", {"Accept": _JSON}, timeout_s=ECHO_S, params={"limit": "1"})
        except (ArchiveError, ArchiveRefusal):
            return False
        return True

    def search(self, level: str, filters: Mapping[str, str]) -> list[dict[str, Any]]:
        """DICOM JSON of what matches: "/studies", "/studies/UID/series", ... (PS3.18 10.6)."""
        found: list[dict[str, Any]] = []
        while True:
            page = {**filters, "offset": str(len(found)), "limit": "1000"}
            answer = self._ask("GET", level, {"Accept": _JSON}, params=page)
            more = [] if answer.status_code == 204 else _read_json(answer)
            if not isinstance(more, list):
                raise ArchiveError("The archive's answer to a query is no list.")
            known = {str(each) for each in found}
            fresh = [each for each in more if isinstance(each, dict) and str(each) not in known]
            found += fresh
            if len(more) < 1000 or not fresh:  # some archives know no offset
                return found

    def fetch(self, path: str) -> bytes:
        """One instance in the transfer syntax that the archive holds it in (PS3.18 10.4)."""
        kind = f'multipart/related; type="{_DICOM}"; transfer-syntax=*'
        answer = self._ask("GET", path, {"Accept": kind}, most=MAX_BYTES + 65536)
        return read_part(answer.headers.get("Content-Type", ""), answer.content)

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        most: int = MOST_JSON,
        timeout_s: float = TIMEOUT_S,
        **arguments: Any,
    ) -> requests.Response:
        url = self.address + path
        try:
            with self._session.request(
                method, url, headers=dict(headers), timeout=timeout_s, verify=self._verify, allow_redirects=False,
                stream=True, **arguments,
            ) as answer:  # fmt: skip
                answer._content = _read_bounded(answer, most)
        except requests.RequestException as error:
            raise ArchiveError(f"The archive does not answer: {type(error).__name__}.") from None
        if 300 <= answer.status_code < 400:
            raise ArchiveError("The archive sends us to another address; name that one if it is right.")
        if answer.status_code in _CONTENT:
            raise ArchiveRefusal(f"The archive answers {answer.status_code}.")
        if answer.status_code >= 400 and answer.status_code != 409:  # 409: its reasons are in the body
            raise ArchiveError(f"The archive answers {answer.status_code}.")
        return answer


def read_credentials(path: Path) -> str:
    """The Authorization header that a file of credentials asks for; ArchiveError for a file that others can read."""
    if path.stat().st_mode & 0o077:
        raise ArchiveError(f"Others can read {path}; chmod 600 it.")
    text = path.read_text().strip()
    return text if text.startswith("Bearer ") else "Basic " + base64.b64encode(text.encode()).decode("ascii")


def read_part(kind: str, body: bytes) -> bytes:
    """The one part of a multipart/related answer (RFC 2387); a body that is no multipart comes back as it is."""
    message = Message()
    message["Content-Type"] = kind
    boundary = message.get_boundary()
    if not boundary:
        return body
    start = body.find(b"\r\n\r\n", body.find(b"--" + boundary.encode()))
    end = body.find(b"\r\n--" + boundary.encode(), start)
    if start < 0 or end < 0:
        raise ArchiveError("The archive's answer is cut short.")
    return body[start + 4 : end]


def is_here(address: str) -> bool:
    """Whether an address is this machine's own."""
    return urlsplit(address).hostname in ("127.0.0.1", "localhost", "::1")


def _read_bounded(answer: requests.Response, most: int) -> bytes:
    found = bytearray()
    for chunk in answer.iter_content(65536):
        found += chunk
        if len(found) > most:
            raise ArchiveError("The archive's answer is too large.")
    return bytes(found)


def _read_json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise ArchiveError("The archive's answer is no JSON.") from None


def _list_items(document: Any, tag: str) -> list[Any]:
    try:
        return list(document[tag]["Value"])
    except (KeyError, TypeError):
        return []


def _name_reasons(failed: Sequence[Any]) -> str:
    reasons = {str(_list_items(each, "00081197")[:1]).strip("[]") or "unknown" for each in failed}
    return ", ".join(sorted(reasons))
