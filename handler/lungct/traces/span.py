"""The spans of one request, as OTLP has them in JSON.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: ids are hex there, whole numbers of 64 bits strings.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

SERVER, INTERNAL = 2, 1  # SpanKind
FAILED = 2  # StatusCode
LONGEST_S = 3600.0  # that a request may have been on its way; no clock of a gateway is further off
STAMP = re.compile(r"[0-9]{1,12}\.[0-9]{3}")  # nginx's $msec


class Call(NamedTuple):
    """One request of a batch; no field holds what a caller wrote, but for ids that match their grammars.

    Attributes:
        trace_id, span_id: of the traceparent, 32 and 16 hex digits; None where there was none. The gateway makes a span
            id for the request; that of a caller who came directly is of the caller's own span, and ours is below it.
        sent: Unix seconds at which the gateway handed it over; None where none did.
        began: Unix seconds at which the handler got it.
        seconds: wall seconds of each stage of its batch, one after the other.
        attributes: route, status, format, batch and engine.
    """

    trace_id: str | None
    span_id: str | None
    sent: float | None
    began: float
    seconds: Mapping[str, float]
    attributes: Mapping[str, str | int]


def read_stamp(headers: Mapping[str, Any], now: float) -> float | None:
    """Unix seconds of the gateway's X-Gateway-Time; None for what is none, or cannot be true at `now`."""
    given = next((value for name, value in headers.items() if name.lower() == "x-gateway-time"), None)
    if not (isinstance(given, str) and STAMP.fullmatch(given)):
        return None
    sent = float(given)
    return sent if now - LONGEST_S <= sent <= now else None


def build(calls: Sequence[Call]) -> dict[str, Any]:
    """The body of an export: for each call its span and below it, in their order, queue and stages."""
    spans = [span for call in calls for span in _build_call(call)]
    resource = {"attributes": _encode({"service.name": "lung_ct"})}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "lungct"}, "spans": spans}]}]}


def _build_call(call: Call) -> list[dict[str, Any]]:
    trace = call.trace_id or secrets.token_hex(16)
    root = call.span_id if call.span_id and call.sent is not None else secrets.token_hex(8)
    cuts = [call.began]
    for spent in call.seconds.values():
        cuts.append(cuts[-1] + spent)
    parts = dict(zip(call.seconds, zip(cuts, cuts[1:], strict=False), strict=True))
    if call.sent is not None:
        parts = {"queue": (call.sent, call.began), **parts}
    whole = _time(cuts[0] if call.sent is None else call.sent, cuts[-1])
    named = {"traceId": trace, "spanId": root, "name": "lung_ct", "kind": SERVER, **whole}
    if call.span_id and call.span_id != root:
        named["parentSpanId"] = call.span_id
    found = [{**named, "attributes": _encode(call.attributes)}]
    if int(call.attributes["status"]) >= 500:
        found[0]["status"] = {"code": FAILED}
    below = {"traceId": trace, "parentSpanId": root, "kind": INTERNAL}
    found += [{**below, "spanId": secrets.token_hex(8), "name": n, **_time(*ends)} for n, ends in parts.items()]
    return found


def _time(start: float, end: float) -> dict[str, str]:
    return {"startTimeUnixNano": str(round(start * 1e9)), "endTimeUnixNano": str(round(end * 1e9))}


def _encode(attributes: Mapping[str, str | int]) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", int: "intValue"}
    return [{"key": key, "value": {kinds[type(value)]: str(value)}} for key, value in attributes.items()]
