"""Requests of the Open Inference Protocol, for the tests."""

import base64
import json


def oip(**changes):
    """A request as JSON would have it, with `changes` of its tensor."""
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [base64.b64encode(b"file").decode()]}
    return {"id": "7", "inputs": [{**tensor, **changes}], "parameters": {"heatmap": "always"}}


def binary(content, size=None, name="image"):
    """Headers and body of the same with its file behind the JSON; `size` is what the element says of itself."""
    header = json.dumps({"inputs": [{"name": name, "shape": [1], "datatype": "BYTES"}]}).encode()
    length = len(content) if size is None else size
    return {"Inference-Header-Content-Length": str(len(header))}, header + length.to_bytes(4, "little") + content
