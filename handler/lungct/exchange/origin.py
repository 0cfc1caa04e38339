"""The ids by which one request is found again in logs, here and at its caller."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

# config/nginx/nginx.conf holds callers to the same grammars, and a test holds the two together.
# Longer than any accession number (DICOM's SH has 16) and without the dots of a UID: ids of programs, not of patients.
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{20,64}")
# W3C Trace Context, 3.2: version, trace id, parent id, flags. Neither id is all zeros.
TRACE = re.compile(r"00-(?!0+-)([0-9a-f]{32})-(?!0+-)([0-9a-f]{16})-[0-9a-f]{2}")


class Origin(NamedTuple):
    """Whom a line of the log is about.

    Attributes:
        request_id: the caller's, where it sent one that can be one; else the server's.
        trace_id: of the caller's `traceparent`, 32 hex digits; None where it sent none.
        span_id: of the same, 16 hex digits: the gateway's own; of a caller who came directly, the caller's.
    """

    request_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None

    def __str__(self) -> str:
        return f"{self.request_id} of trace {self.trace_id}" if self.trace_id else str(self.request_id)


def read_origin(headers: Mapping[str, Any], made: str | None) -> Origin:
    """The ids of one request; what does not match its grammar is as good as not sent.

    Args:
        headers: as TorchServe hands them over, see `parse`.
        made: the id that the server gave to the request.
    """
    named = {name.lower(): value for name, value in headers.items() if isinstance(value, str)}
    given = REQUEST_ID.fullmatch(named.get("x-request-id", ""))
    trace = TRACE.fullmatch(named.get("traceparent", ""))
    trace_id, span_id = trace.groups() if trace else (None, None)
    return Origin(given.group() if given else made, trace_id, span_id)
