"""Open Inference Protocol v2: one BYTES tensor in, named tensors out.

https://github.com/open-inference/open-inference-protocol (REST), with the binary tensor extension that
tritonclient sends; replies are JSON, which every client of that extension reads as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lungct.errors import LungCTError
from lungct.exchange import base64text, document

HEADER_LENGTH = "inference-header-content-length"
INPUT = "image"
INPUTS = (INPUT, "data")  # what the metadata call it, and what every other kind of body does
WANTED = f'Send one input: {{"name": "{INPUT}", "shape": [1], "datatype": "BYTES", "data": ["<base64>"]}}.'
DROPPED = (
    "If it came from numpy: an array of dtype S drops the zeros that a file ends with, so make it with dtype=object."
)

Outputs = Mapping[str, tuple[str, Callable[[Mapping[str, Any], Sequence[str]], list[Any]]]]
OUTPUTS: Outputs = {  # name -> datatype, and the elements by the native reply and the class order
    "label": ("BYTES", lambda scored, _: [scored["label"]]),
    "probabilities": ("FP32", lambda scored, classes: [scored["probabilities"][name] for name in classes]),
    "decision": ("BYTES", lambda scored, _: [scored["decision"]]),
    "reply": ("BYTES", lambda scored, _: [json.dumps(scored, allow_nan=False)]),
}


class Tensor(NamedTuple):
    """What an inference request holds.

    Attributes:
        body: the file.
        parameters: those of the input and of the request, which goes before, options among them.
        outputs: names that were asked for, in that order; (): all.
        binary: the file came as it is behind the JSON, not in base64 inside it.
    """

    body: bytes
    parameters: Mapping[str, Any]
    outputs: tuple[str, ...]
    binary: bool


def read(request: Mapping[str, Any]) -> Tensor:
    """The file and what is asked of it; LungCTError bad_option or corrupt_image otherwise."""
    inputs = request["inputs"]
    if not (isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], Mapping)):
        raise LungCTError("bad_option", WANTED)
    tensor = inputs[0]
    if tensor.get("name") not in INPUTS:
        raise LungCTError("bad_option", f"The model has no input of that name; it is called {INPUT}. {WANTED}")
    elements = tensor.get("data")
    if tensor.get("datatype") != "BYTES" or not isinstance(elements, list):
        raise LungCTError("bad_option", WANTED)
    while len(elements) == 1 and isinstance(elements[0], list):  # nested as its shape, which the protocol allows
        elements = elements[0]
    if len(elements) != 1 or isinstance(elements[0], list):
        raise LungCTError("bad_option", f"{WANTED} One request is one slice; the server batches.")
    _check_shape(tensor.get("shape"))
    parameters = {**_read_parameters(tensor), **_read_parameters(request)}
    element = elements[0]
    binary = isinstance(element, bytes)
    return Tensor(
        element if binary else base64text.decode(element, "The BYTES element"),
        parameters,
        _read_outputs(request.get("outputs")),
        binary,
    )


def join_binary(body: bytes, header_length: str) -> dict[str, Any]:
    """A body of the binary tensor extension (JSON, then length-prefixed elements) as one document."""
    try:
        cut = int(header_length)
        found = document.load(body[:cut])
        tail = body[cut:]
        size = int.from_bytes(tail[:4], "little")
        if cut < 0 or not isinstance(found, dict) or len(found["inputs"]) != 1 or len(tail) > size + 4:
            raise ValueError
        tensor = found["inputs"][0]
        if tail and "data" in tensor:  # a file in the JSON and one behind it
            raise ValueError
        if tail:
            tensor["data"] = [tail[4:]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise LungCTError("bad_option", "The binary tensor does not match its JSON header. " + WANTED) from None
    if 0 < len(tail) < size + 4:
        told = (
            f"The BYTES element ends early: it says {size} bytes, and {max(0, len(tail) - 4)} arrived; send it whole."
        )
        raise LungCTError("corrupt_image", told)
    return found


def is_meant(row: Mapping[str, Any], headers: Mapping[str, Any]) -> bool:
    """Whether a request is one of this protocol's, by what tells it at a glance: also one that cannot be read.

    JSON under gzip, which no client of the protocol sends, is not looked into.
    """
    body = row.get("body")
    if isinstance(body, Mapping):
        return "inputs" in body
    if any(name.lower() == HEADER_LENGTH for name in headers):
        return True
    return isinstance(body, bytes | bytearray) and document.is_begun(body) and b'"inputs"' in body.replace(b"\0", b"")


def explain(error: LungCTError, body: bytes) -> LungCTError:
    """What is wrong with a damaged file that came as a binary tensor, and what may have cut it off."""
    if error.code != "corrupt_image" or body.endswith(b"\0"):
        return error
    return LungCTError(error.code, f"{error.message} {DROPPED}")


def reply(
    scored: Mapping[str, Any], classes: Sequence[str], inference_id: str | None, outputs: Sequence[str] = ()
) -> dict[str, Any]:
    """A native reply as OIP tensors; the one named "reply" carries the native JSON whole.

    Args:
        scored: the native reply.
        classes: names in the order of the tensor "probabilities".
        inference_id: the request's own id, if it has one.
        outputs: the tensors that were asked for; all where none is named.
    """
    answer = {
        "model_name": scored["model"]["name"],
        "model_version": scored["model"]["version"],
        "parameters": {"classes": ",".join(classes), "research_use_only": True},
        "outputs": [_build(name, scored, classes) for name in outputs or OUTPUTS],
    }
    return {"id": inference_id, **answer} if inference_id else answer


def describe(name: str, classes: Sequence[str]) -> dict[str, Any]:
    """The protocol's metadata of the model. It names no version: the server has one, and takes none in the path."""
    sizes = {"probabilities": len(classes)}
    return {
        "name": name,
        "platform": "torchserve_mar",
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [1]}],
        "outputs": [
            {"name": each, "datatype": datatype, "shape": [sizes.get(each, 1)]}
            for each, (datatype, _) in OUTPUTS.items()
        ],
    }


def _build(name: str, scored: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    datatype, select = OUTPUTS[name]
    data = select(scored, classes)
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": data}


def _read_parameters(holder: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a request or an input; LungCTError bad_option where they are no object."""
    found = holder.get("parameters")
    if not isinstance(found, Mapping | None):
        raise LungCTError("bad_option", 'parameters are an object, such as {"heatmap": "always"}.')
    return found or {}


def _check_shape(shape: Any) -> None:
    """LungCTError bad_option for a shape that is not of one element: the protocol has it tell what the data hold."""
    sizes = shape if isinstance(shape, list) and shape else [0]
    if not all(type(size) is int and size == 1 for size in sizes):  # their product could be a number of megabytes
        raise LungCTError("bad_option", f"The tensor's shape is not that of one element. {WANTED}")


def _read_outputs(outputs: Any) -> tuple[str, ...]:
    """Names of the tensors that are asked for, each once; LungCTError bad_option for one that there is not."""
    if not outputs:
        return ()
    names = (
        [each.get("name") if isinstance(each, Mapping) else None for each in outputs]
        if isinstance(outputs, list)
        else [None]
    )
    if not all(isinstance(name, str) and name in OUTPUTS for name in names) or len(set(names)) < len(names):
        raise LungCTError("bad_option", f"outputs may name, each once: {', '.join(OUTPUTS)}.")
    return tuple(map(str, names))
