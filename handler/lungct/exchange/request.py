"""One row and its headers -> ScoreRequest. Options are checked here and nowhere else."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lungct.errors import LungCTError
from lungct.exchange import oip
from lungct.heatmap import COLORMAPS, METHODS
from lungct.pixels import Asked
from lungct.window import Window

FILE_FIELDS = ("data", "file", "body")
NO_BODY = (
    "No image arrived. Send the file itself as the body: curl -T slice.png URL, or "
    "curl -H 'Content-Type: application/octet-stream' --data-binary @slice.png URL. "
    "(curl's default form content type makes the server drop the body.)"
)
SEVERAL = (
    "One request is one slice; the server batches requests by itself. Score many files with: make score IN=folder "
    "OUT=results."
)


@dataclass(frozen=True)
class ScoreRequest:
    """What one client asks: a file and how to read it and what to send back."""

    body: bytes
    heatmap: str = "none"  # none | abnormal | always
    heatmap_class: str | None = None  # None: the predicted one
    heatmap_method: str = "gradcam"
    heatmap_format: str = "png"  # or jpeg, or grid: numbers only, no picture
    heatmap_size: str = "source"  # source: as the slice; model: as the network input
    heatmap_colormap: str = "jet"
    window: Asked = None  # "file": the one that a DICOM file proposes
    frame: int | None = None
    accept: str = "application/json"  # or image/png, image/jpeg: the overlay itself
    inference_id: str | None = None  # id of an Open Inference Protocol request
    protocol: str = "native"  # or oip
    gate: str = "on"  # off: score whatever the picture shows
    canary: str = "no"  # yes: a monitor's own request, which the metrics count apart


CHOICES: dict[str, tuple[str, ...]] = {
    "heatmap": ("none", "abnormal", "always"),
    "heatmap_method": METHODS,
    "heatmap_format": ("png", "jpeg", "grid"),
    "heatmap_size": ("source", "model"),
    "heatmap_colormap": tuple(COLORMAPS),
    "gate": ("on", "off"),
    "canary": ("no", "yes"),
}


OPTIONS = (*CHOICES, "heatmap_class", "window", "frame")


def parse(row: Mapping[str, Any], headers: Mapping[str, Any], classes: tuple[str, ...]) -> ScoreRequest:
    """Read one request as TorchServe hands it over.

    Args:
        row: body or form fields of the request: {"body": bytes | str | parsed JSON} or {"data": bytes, "heatmap": ...}.
        headers: request headers in the client's casing; form parts appear as mappings.
        classes: class names a heatmap may be asked for.

    Raises:
        LungCTError: empty_body, bad_option, unsupported_format.
    """
    named = {k.lower(): v for k, v in headers.items() if isinstance(v, str)}
    options = {name: named[header] for name in OPTIONS if (header := "x-" + name.replace("_", "-")) in named}
    field = _find_file(row, headers)
    options |= {name: _text(value, name) for name, value in row.items() if name != field and name in OPTIONS}
    body: Any = row[field] if field else b""
    if isinstance(body, bytes | bytearray) and oip.HEADER_LENGTH in named:
        body = oip.join_binary(bytes(body), named[oip.HEADER_LENGTH])
    elif named.get("content-type", "").startswith("application/json") or _looks_like_json(body):
        body = _read_json(body)
    protocol, inference_id = "native", None
    if isinstance(body, Mapping):
        if "inputs" in body:
            protocol, inference_id = "oip", body.get("id")
            body, parameters = oip.read(body)
        else:
            body, parameters = _from_base64(body.get("data")), body
        options |= {name: _text(value, name) for name, value in parameters.items() if name in OPTIONS}
    if not isinstance(body, bytes | bytearray):
        raise LungCTError(
            "unsupported_format",
            "The body arrived as text. Send the file's bytes with Content-Type: application/octet-stream.",
        )
    if not body:
        raise LungCTError("empty_body", NO_BODY)
    if named.get("explain") == "True":  # TorchServe adds this on /explanations
        options["heatmap"] = "always"
    return _build(bytes(body), options, named.get("accept", ""), classes, protocol, inference_id)


def _build(
    body: bytes, options: dict[str, str], accept: str, classes: tuple[str, ...], protocol: str, inference_id: Any
) -> ScoreRequest:
    chosen: dict[str, Any] = {}
    for name, allowed in CHOICES.items():
        if name in options:
            chosen[name] = _choose(name, options[name].strip().lower(), allowed)
    if "heatmap_class" in options and options["heatmap_class"].strip().lower() != "predicted":
        by_name = {c.lower(): c for c in classes}
        chosen["heatmap_class"] = by_name[
            _choose("heatmap_class", options["heatmap_class"].strip().lower(), (*by_name, "predicted"))
        ]
    if "window" in options:
        chosen["window"] = _window(options["window"])
    if "frame" in options:
        if not re.fullmatch(r"[0-9]{1,6}", options["frame"].strip()):
            raise LungCTError("bad_option", "X-Frame must be a frame number: 0, 1, 2, ...")
        chosen["frame"] = int(options["frame"])
    asked = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    picture = next((kind for kind in asked if kind in ("image/png", "image/jpeg")), None)
    if picture and "application/json" not in asked and "*/*" not in asked and protocol == "native":
        chosen |= {"accept": picture, "heatmap_format": picture.removeprefix("image/"), "heatmap": "always"}
    return ScoreRequest(body, protocol=protocol, inference_id=str(inference_id) if inference_id else None, **chosen)


def _header(name: str) -> str:
    return "X-" + name.replace("_", "-").title()


def _choose(name: str, given: str, allowed: tuple[str, ...]) -> str:
    if given not in allowed:
        raise LungCTError("bad_option", f"{_header(name)} must be one of: {', '.join(allowed)}.")
    return given


def _window(given: str) -> Asked:
    if given.strip().lower() == "file":
        return "file"
    try:
        center, width = (float(part) for part in given.split(","))
    except ValueError:
        center = width = math.nan
    if not (math.isfinite(center) and 1 <= width <= 100_000 and abs(center) <= 100_000):
        raise LungCTError("bad_option", "X-Window must be centre,width in HU, such as -500,1500, or the word file.")
    return Window(center, width)


def _text(value: Any, name: str) -> str:
    """A form field's text; fields arrive as bytes, JSON values as they are."""
    if isinstance(value, bytes | bytearray):
        try:
            return bytes(value).decode("ascii")
        except UnicodeDecodeError:
            raise LungCTError("bad_option", f"{_header(name)} must be plain ASCII text.") from None
    return str(value)


def _find_file(row: Mapping[str, Any], headers: Mapping[str, Any]) -> str | None:
    """The one field that holds the file; LungCTError bad_option where several parts of a form are files."""

    def is_file(name: str) -> bool:
        part = headers.get(name)  # a form part's own headers
        kind = part.get("content-type", "") if isinstance(part, Mapping) else ""
        return name in FILE_FIELDS or (name not in OPTIONS and str(kind).startswith(("image/", "application/")))

    files = [name for name in row if is_file(name)]
    if len(files) > 1:
        raise LungCTError("bad_option", SEVERAL)
    return files[0] if files else None


def _looks_like_json(body: Any) -> bool:
    """tritonclient sends JSON without its content type, so TorchServe leaves it unparsed; no image starts like it."""
    return isinstance(body, bytes | bytearray) and body[:1] == b"{"


def _read_json(body: Any) -> Mapping[str, Any]:
    try:
        document = json.loads(body) if isinstance(body, bytes | bytearray) else body
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, Mapping):
        raise LungCTError("bad_option", 'The body is no JSON object; send {"data": "<the file in base64>"}.')
    return document


def _from_base64(text: Any) -> bytes:
    if not isinstance(text, str):
        raise LungCTError("empty_body", 'A JSON body needs the file in base64: {"data": "<base64>"}.')
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise LungCTError("corrupt_image", "The JSON field data is not valid base64.") from None
