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
from dicomweb_client import DICOMwebClient

from lungct_tools.folder.source import MAX_BYTES

TIMEOUT_S, ECHO_S = 60.0, 5.0
MOST_JSON = 64 * 2**20  # bytes of one answer to a query
PAGE = 1000
_DICOM, _JSON = "application/dicom", "application/dicom+json"
_CONTENT = (400, 413, 415, 422)  # statuses that are about what was sent; others are about us or the archive


class ArchiveError(Exception):
    """The archive cannot do it now: it is away, busy, fails, or does not know us yet. Later it may."""


class ArchiveRefusal(Exception):
    """The archive will not have this content, however often it is sent."""


class Session(requests.Session):
    """Requests to an archive, ours and dicomweb-client's: answers bounded, no redirect followed, no environment."""

    def __init__(self, credentials: Path | None, ca: Path | None) -> None:
        super().__init__()
        self.trust_env = False  # no proxy and no .netrc
        self.verify = str(ca) if ca else True
        if credentials:
            self.headers["Authorization"] = read_credentials(credentials)

    def request(  # type: ignore[override]
        self, method: str, url: str, *, headers: Mapping[str, str], most: int = MOST_JSON, **arguments: Any
    ) -> requests.Response:
        """The answer, whole.

        Args:
            most: bytes of it.

        Raises:
            ArchiveError, ArchiveRefusal
        """
        sent = {name: value for name, value in headers.items() if name != "Host"}  # dicomweb-client's has no port
        how = {"timeout": TIMEOUT_S, **arguments, "allow_redirects": False, "stream": True}
        try:
            with super().request(method, url, headers=sent, **how) as answer:
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


class DicomWeb:
    """One archive. Threads may not share it.

    Args:
        address: such as https://pacs.example.org/dicom-web.
        credentials: file of one line, NAME:PASSWORD or Bearer TOKEN; it must not be readable by others.
        ca: PEM file of who signed the archive's certificate, if the system does not trust them.
    """

    def __init__(self, address: str, credentials: Path | None = None, ca: Path | None = None) -> None:
        self.address = address.rstrip("/")
        self._session = Session(credentials, ca)

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
        url = f"{self.address}/studies/{study}"
        document = _read_json(self._session.post(url, body, headers={"Content-Type": kind, "Accept": _JSON}))
        failed = _list_items(document, "00081198")
        if failed:
            raise ArchiveRefusal(f"The archive failed {len(failed)} of {len(files)} objects: {_name_reasons(failed)}.")
        if len(_list_items(document, "00081199")) < len(files):
            raise ArchiveError("The archive did not confirm every object.")

    def answers(self) -> bool:
        """Whether the archive is there and lets us in."""
        try:
            url = f"{self.address}/studies?limit=1"
            self._session.get(url, headers={"Accept": _JSON}, timeout=ECHO_S)
        except (ArchiveError, ArchiveRefusal):
            return False
        return True

    def search(self, filters: Mapping[str, str], *above: str) -> list[dict[str, Any]]:
        """DICOM JSON of what matches (PS3.18 10.6): studies, series of the study or instances of the series `above`."""
        found: list[dict[str, Any]] = []
        while True:
            try:
                client = DICOMwebClient(self.address, self._session, timeout=TIMEOUT_S, permissive_uid=True)
                client.set_http_retry_params(retry=False)  # callers have their own tries
                ask = (client.search_for_studies, client.search_for_series, client.search_for_instances)[len(above)]
                more: Any = ask(*above, limit=PAGE, offset=len(found), search_filters=dict(filters))
            except ValueError as error:  # of the address, or an answer that is no JSON
                raise ArchiveError(f"The archive cannot be asked: {type(error).__name__}.") from None
            if not isinstance(more, list):
                raise ArchiveError("The archive's answer to a query is no list.")
            known = {str(each) for each in found}
            fresh = [each for each in more if isinstance(each, dict) and str(each) not in known]
            found += fresh
            if len(more) < PAGE or not fresh:  # some archives know no offset
                return found

    def fetch(self, path: str) -> bytes:
        """One instance in the transfer syntax that the archive holds it in (PS3.18 10.4)."""
        kind = f'multipart/related; type="{_DICOM}"; transfer-syntax=*'
        answer = self._session.get(self.address + path, headers={"Accept": kind}, most=MAX_BYTES + 65536)
        return read_part(answer.headers.get("Content-Type", ""), answer.content)


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
