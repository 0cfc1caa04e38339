"""JSON schemas of the server's answers, read off answers that the server's own code builds."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from lungct.errors import LungCTError
from lungct.exchange import oip
from lungct.exchange.result import Heatmap, build_heatmap, build_score, refuse
from lungct.heatmap import ActivationMap
from lungct.model.contract import ModelContract
from lungct.pixels import Slice
from lungct.window import LUNG

Schema = dict[str, Any]
NULLABLE = {"window", "resampled", "outside_body", "content_type", "data", "request_id"}
# What no example tells: by the name of a field, wherever it stands.
SAID: dict[str, Schema] = {
    "label": {"description": "The class of the highest probability."},
    "confidence": {"description": "Its calibrated probability.", "minimum": 0, "maximum": 1},
    "decision": {"enum": ["report", "refer"], "description": "refer: a reader has to look at the slice."},
    "warnings": {"description": "Sentences on how the slice was read and what it is unlike."},
    "window": {"description": "In HU; null where the file held finished gray levels."},
    "center": {"type": "number"},
    "width": {"type": "number", "minimum": 1},
    "rule": {"description": "How gray levels came about."},
    "resampled": {"description": "Rows and columns in square pixels; null where the file's own are square."},
    "sha256": {"description": "Of the file's bytes.", "pattern": "^[0-9a-f]{64}$"},
    "pixels_sha256": {
        "description": "Of what the network sees, in whatever file.",
        "pattern": "^[0-9a-f]{64}$",
    },
    "weights_sha256": {"pattern": "^[0-9a-f]{64}$"},
    "grids": {"description": "7 x 7 signed evidence sums of each class before the ReLU."},
    "outside_body": {"description": "Share of the positive evidence outside the body.", "minimum": 0, "maximum": 1},
    "completeness_error": {"description": "How far the evidence is from adding up to the logits.", "minimum": 0},
    "data": {"description": "The overlay in base64; null where numbers alone were asked for."},
    "research_use_only": {"const": True},
    "error": {"description": "The code; for a body of the Open Inference Protocol with a colon and the message."},
}


def infer(value: Any, name: str = "") -> Schema:
    """The strictest schema that this example of the field `name` fits: no other fields, none left out."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string"}
    found: Schema = {"type": kinds.get(type(value), "null")}
    if isinstance(value, dict):
        fields = {key: infer(item, key) for key, item in value.items()}
        found = {"type": "object", "required": [*value], "additionalProperties": False, "properties": fields}
    elif isinstance(value, list):
        found = {"type": "array", "items": infer(value[0], "") if value else {}}
    found |= SAID.get(name, {})
    return {"anyOf": [found, {"type": "null"}]} if name in NULLABLE else found


def describe_answers(contract: ModelContract) -> dict[str, Schema]:
    """Name -> schema of the reply, of the same by the Open Inference Protocol, and of a refusal."""
    count = len(contract.classes)
    slice_ = Slice(np.zeros((8, 8), np.uint8), "PNG", LUNG, "0" * 64, aspect=2.0)
    score = build_score(np.full(count, 1 / count), slice_, ("A sentence.",), True, contract, "openvino-fp32")
    score["input"]["pixels_sha256"] = "0" * 64  # by the pipeline, which has what the network sees
    drawn = Heatmap("gradcam", contract.classes[0], ActivationMap(np.ones((7, 7), np.float32), True), b"?", "image/png")
    evidence, numbers = np.ones((count, 7, 7), np.float32), np.ones(count, np.float32)
    heatmap = build_heatmap(drawn, evidence, numbers, numbers, None, contract) | {"outside_body": 0.5}
    reply = infer(score | {"heatmap": heatmap})
    reply["required"].remove("heatmap")
    reply["properties"]["label"]["enum"] = [*score["probabilities"]]
    protocol = infer(oip.reply(score, contract.classes, "id"))
    protocol["required"].remove("id")
    # Tensors of different kinds, all four or those that were asked for; the protocol's own definition says the rest.
    tensor = {"type": "object", "required": ["name", "datatype", "shape", "data"]}
    protocol["properties"]["outputs"] = {"type": "array", "minItems": 1, "maxItems": 4, "items": tensor}
    refusal = infer(json.loads(refuse(LungCTError("empty_body", "What to do."), "id").body))
    return {"Reply": reply, "InferenceReply": protocol, "Refusal": refusal}
