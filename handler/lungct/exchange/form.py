"""The parts of a form: which one is the file, and whether all of them arrived.

TorchServe keeps the last part of a name and none that was cut off, and says so to nobody. At the gateway the parts are
counted (scripts/proxy/form.py); here only their bytes can be held against the length of the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lungct.errors import LungCTError
from lungct.exchange import base64text
from lungct.pixels import is_known

FILE_FIELDS = ("data", "file", "body")
SEVERAL = (
    "One request is one slice; the server batches requests by itself. Score many files with: make score IN=folder "
    "OUT=results."
)
LOST = f"Of two parts of one name, or a part that was cut off, only some arrived. {SEVERAL}"
CUT_OFF = (
    "The form was cut off, or its boundary is another than the header says; send it whole, or the file itself as the "
    "body."
)
NO_FILE = (
    "The form arrived without a whole file: it was cut off, its boundary is another than the header says, or no part "
    "is named data. Send it again, or the file itself as the body."
)
NO_FORM = (
    "A multipart body is read as multipart/form-data with its boundary in the Content-Type, and this is none; send "
    "such a form, or the file itself as the body."
)
MOST_FIELDS = 64  # millions would keep a worker busy for seconds
PART_BYTES = 2048  # the most that boundary and headers of one part take; a long file name, written twice, is most of it


def read_fields(body: bytes) -> dict[str, bytes]:
    """The fields of a form without parts; none where it is none, such as a file that curl sent by default.

    Raises:
        LungCTError: bad_option for a field that stands twice.
    """
    if body.count(b"&") >= MOST_FIELDS:
        return {}
    try:
        parts = (part.partition("=") for part in body.decode("ascii").replace("+", " ").split("&"))
        pairs = [(base64text.unescape(name), base64text.unescape(value).encode()) for name, _, value in parts if name]
    except ValueError:
        return {}
    if len(dict(pairs)) < len(pairs):
        raise LungCTError("bad_option", LOST)
    return dict(pairs)


def is_form(content_type: str) -> bool:
    """Whether a body is one of parts, as `$form` of config/nginx/nginx.conf has it."""
    return content_type.lower().startswith("multipart/")


def find_file(row: Mapping[str, Any], headers: Mapping[str, Any], options: Collection[str]) -> str | None:
    """The one field that holds the file; None where there is none. A file is one, whatever it is called.

    Args:
        row: fields of a form, or the body alone as "body".
        headers: request headers; the parts of a form appear as mappings.
        options: names of fields that are no files.

    Raises:
        LungCTError: bad_option where several parts are files.
    """

    def is_file(name: str) -> bool:
        part = headers.get(name)
        kind = part.get("content-type", "") if isinstance(part, Mapping) else ""
        said = str(kind).startswith(("image/", "application/"))
        return name in FILE_FIELDS or (name not in options and (said or holds_slice(row[name])))

    files = [name for name in row if is_file(name)]
    if len(files) > 1:
        raise LungCTError("bad_option", SEVERAL)
    return files[0] if files else None


def holds_slice(value: Any) -> bool:
    """Whether a field holds a file that we read, also in base64: gRPC tells no content type, and forms a wrong one."""
    if not isinstance(value, bytes | bytearray):
        return False
    head = bytes(value[:512])
    return is_known(head) or base64text.is_begun(head)


def check_whole(
    row: Mapping[str, Any], headers: Mapping[str, Any], named: Mapping[str, str], field: str | None
) -> None:
    """Refuse a form of which something that is larger than the headers of its parts did not arrive.

    Args:
        row: fields that arrived.
        headers: request headers; the parts of a form appear as mappings.
        named: request headers alone, with names in lower case.
        field: the field that holds the file.

    Raises:
        LungCTError: empty_body without a file, bad_option where bytes are missing, unsupported_format where the body is
            no form that TorchServe reads.
    """
    if not is_form(named.get("content-type", "")):
        return
    part = headers.get("body")
    if isinstance(part, Mapping) and is_form(str(part.get("content-type", ""))):
        raise LungCTError("unsupported_format", NO_FORM)  # it came as a body: TorchServe took it for no form either
    if field is None:
        raise LungCTError("empty_body", NO_FILE)
    length = named.get("content-length", "")
    arrived = sum(len(value) for value in row.values() if isinstance(value, bytes | bytearray | str))
    if length.isdecimal() and int(length) - arrived > PART_BYTES * (len(row) + 1):
        raise LungCTError("bad_option", LOST)
