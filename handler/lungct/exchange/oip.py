"""Open Inference Protocol v2: one BYTES tensor in, named tensors out.

https://github.com/open-inference/open-inference-protocol (REST), with the binary tensor extension that
tritonclient sends.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lungct.errors import LungCTError

HEADER_LENGTH = "inference-header-content-length"
WANTED = 'Send one input: {"name": "image", "shape": [1], "datatype": "BYTES", "data": ["<base64>"]}.'


def read(document: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The file's bytes and the request's parameters; LungCTError bad_option or corrupt_image otherwise."""
    inputs = document["inputs"]
    if not (isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], Mapping)):
        raise LungCTError("bad_option", WANTED)
    tensor = inputs[0]
    elements = tensor.get("data")
    if tensor.get("datatype") != "BYTES" or not (isinstance(elements, list) and len(elements) == 1):
        raise LungCTError("bad_option", WANTED + " One request is one slice; the server batches.")
    parameters = document.get("parameters")
    element = elements[0]
    if isinstance(element, bytes):
        return element, dict(parameters) if isinstance(parameters, Mapping) else {}
    try:
        return base64.b64decode(element, validate=True), dict(parameters) if isinstance(parameters, Mapping) else {}
    except (binascii.Error, ValueError, TypeError):
        raise LungCTError("corrupt_image", "The BYTES element is not valid base64.") from None


def join_binary(body: bytes, header_length: str) -> dict[str, Any]:
    """A body of the binary tensor extension (JSON, then length-prefixed elements) as one document."""
    try:
        cut = int(header_length)
        document = json.loads(body[:cut])
        tail = body[cut:]
        size = int.from_bytes(tail[:4], "little")
        if not isinstance(document, dict) or len(document["inputs"]) != 1 or len(tail) != size + 4:
            raise ValueError
        document["inputs"][0]["data"] = [tail[4:]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LungCTError("bad_option", "The binary tensor does not match its JSON header. " + WANTED) from None
    return document


def reply(scored: Mapping[str, Any], classes: Sequence[str], inference_id: str | None) -> dict[str, Any]:
    """A native reply as OIP tensors; `reply` carries the native JSON whole."""

    def tensor(name: str, datatype: str, data: list[Any]) -> dict[str, Any]:
        return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}

    document = {
        "model_name": scored["model"]["name"],
        "model_version": scored["model"]["version"],
        "parameters": {"classes": ",".join(classes), "research_use_only": True},
        "outputs": [
            tensor("label", "BYTES", [scored["label"]]),
            tensor("probabilities", "FP32", [scored["probabilities"][name] for name in classes]),
            tensor("decision", "BYTES", [scored["decision"]]),
            tensor("reply", "BYTES", [json.dumps(scored, allow_nan=False)]),
        ],
    }
    return {"id": inference_id, **document} if inference_id else document
