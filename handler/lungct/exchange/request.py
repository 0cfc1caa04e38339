"""One row and its headers -> ScoreRequest. Options are checked here and nowhere else."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lungct.errors import LungCTError
from lungct.exchange import accept, base64text, document, form, oip
from lungct.heatmap import COLORMAPS, METHODS
from lungct.pixels import EMPTY, Asked
from lungct.window import Window

NO_BODY = (
    "No image arrived. Send the file itself as the body: curl -T slice.png URL, or "
    "curl -H 'Content-Type: application/octet-stream' --data-binary @slice.png URL. "
    "(curl's default form content type makes the server drop the body.)"
)
JSON_FILE = (
    "A JSON file is no slice; send the image file itself, or a request in JSON with the file in base64: "
    '{"data": "<base64>"}.'
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
    heatmap_colormap: str = "viridis"  # reads the same with any colour vision
    window: Asked = None  # "file": the one that a DICOM file proposes
    frame: int | None = None
    accept: str = "application/json"  # or image/png, image/jpeg: the overlay itself
    inference_id: str | None = None  # id of an Open Inference Protocol request
    protocol: str = "native"  # or oip
    outputs: tuple[str, ...] = ()  # tensors that an Open Inference Protocol request asks for; (): all
    binary: bool = False  # the file came as a binary tensor
    gate: str = "on"  # off: score whatever the picture shows
    canary: str = "no"  # yes: a monitor's own request, which the metrics count apart

    @property
    def draws(self) -> bool:
        """Whether the reply may hold a PNG as large as the slice."""
        return self.heatmap != "none" and (self.heatmap_format, self.heatmap_size) == ("png", "source")


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
# How a form without parts begins, and no file: the gateway calls it plain bytes, since TorchServe fails on those that
# curl calls a form.
_FIELDS = re.compile(f"({'|'.join((*form.FILE_FIELDS, *OPTIONS))})=".encode())


def parse(row: Mapping[str, Any], headers: Mapping[str, Any], classes: tuple[str, ...]) -> ScoreRequest:
    """Read one request as TorchServe hands it over.

    Args:
        row: body or form fields of the request: {"body": bytes | str | parsed JSON} or {"data": bytes, "heatmap": ...}.
        headers: request headers in the client's casing; form parts appear as mappings.
        classes: class names a heatmap may be asked for.

    Raises:
        LungCTError: empty_body, bad_option, unsupported_format, corrupt_image.
    """
    named = {k.lower(): v for k, v in headers.items() if isinstance(v, str)}
    if isinstance(body := row.get("body"), bytes | bytearray) and _FIELDS.match(body):
        row = form.read_fields(bytes(body))
    options = {name: named[header] for name in OPTIONS if (header := "x-" + name.replace("_", "-")) in named}
    field = form.find_file(row, headers, OPTIONS)
    form.check_whole(row, headers, named, field)
    options |= _pick({name: value for name, value in row.items() if name != field})
    body = row[field] if field else b""
    if isinstance(body, bytes | bytearray) and base64text.is_meant(body):
        body = base64text.decode(base64text.read_text(body), "The file")
    asked: dict[str, Any] = {}
    found = _find_document(body, named)
    if found is not None and sum(map(_holds_file, found, found.values())) > 1:
        raise LungCTError("bad_option", form.SEVERAL)
    if found is not None and "inputs" in found:
        tensor = oip.read(found)
        body, parameters = tensor.body, tensor.parameters
        identity = found.get("id")
        asked = {"protocol": "oip", "inference_id": str(identity) if identity else None}
        asked |= {"outputs": tensor.outputs, "binary": tensor.binary}
        options |= _pick(parameters)
    elif found is not None:
        body = _from_base64(found, named)
        options |= _pick(found)
    if not isinstance(body, bytes | bytearray):
        raise LungCTError(
            "unsupported_format",
            "The body arrived as text. Send the file's bytes with Content-Type: application/octet-stream.",
        )
    if not body:
        arrived = found is not None or field not in (None, "body")  # in JSON or a form, with nothing in it
        raise LungCTError("empty_body", EMPTY if arrived else NO_BODY)
    if named.get("explain") == "True":  # TorchServe adds this on /explanations
        options["heatmap"] = "always"
    picture = accept.JSON if asked else accept.choose(named.get("accept", ""))  # Open Inference Protocol is JSON
    return ScoreRequest(bytes(body), **asked, **_read_options(options, picture, classes))


def _read_options(options: Mapping[str, str], picture: str, classes: tuple[str, ...]) -> dict[str, Any]:
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
    if picture != accept.JSON:
        chosen |= {"accept": picture, "heatmap_format": picture.removeprefix("image/"), "heatmap": "always"}
    return chosen


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


def _pick(fields: Mapping[str, Any]) -> dict[str, str]:
    """The options among the fields of a form or of JSON, which some call by their headers' names.

    Raises:
        LungCTError: bad_option for one that stands there under two names, or is no text.
    """
    known = {each: name for name in OPTIONS for each in (name, name.replace("_", "-"), _header(name).lower())}
    named = [(known[given.lower()], value) for given, value in fields.items() if given.lower() in known]
    if len(dict(named)) < len(named):
        raise LungCTError("bad_option", "An option stands there under two names; give it once.")
    return {name: _text(value, name) for name, value in named}


def _text(value: Any, name: str) -> str:
    """A form field's text; fields arrive as bytes, JSON values as they are."""
    if isinstance(value, bytes | bytearray):
        try:
            return bytes(value).decode("ascii")
        except UnicodeDecodeError:
            raise LungCTError("bad_option", f"{_header(name)} must be plain ASCII text.") from None
    return str(value)


def _find_document(body: Any, named: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The JSON object that a body is; None where it is a file.

    tritonclient sends JSON without its content type, and no image starts like it, so the first byte decides too.
    """
    if isinstance(body, Mapping):
        return body
    raw = isinstance(body, bytes | bytearray)
    if raw and oip.HEADER_LENGTH in named:
        return oip.join_binary(bytes(body), named[oip.HEADER_LENGTH])
    declared = named.get("content-type", "").lower().startswith("application/json")
    if not declared and not (raw and document.is_begun(body)):
        return None
    try:
        found = document.load(body) if raw else body
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, Mapping):
        return found
    if declared:
        raise LungCTError("bad_option", 'The body is no JSON object; send {"data": "<the file in base64>"}.')
    return None


def _holds_file(name: str, value: Any) -> bool:
    """Whether a field of a JSON request is a file or several, by its name or by what it or its parts hold."""
    if isinstance(value, list) and name not in ("inputs", *form.FILE_FIELDS):
        return any(_holds_file("", part) for part in value)
    if name == "parameters" and isinstance(value, Mapping):
        return any(map(_holds_file, value, value.values()))
    return name in ("inputs", *form.FILE_FIELDS) or (isinstance(value, str) and base64text.is_file(value))


def _from_base64(found: Mapping[str, Any], named: Mapping[str, str]) -> bytes:
    if "data" in found:
        return base64text.decode(found["data"], "The JSON field data")
    if named.get("content-type", "").lower().startswith("application/json"):
        raise LungCTError("empty_body", 'A JSON body needs the file in base64: {"data": "<base64>"}.')
    raise LungCTError("unsupported_format", JSON_FILE)
