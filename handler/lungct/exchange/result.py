"""The reply, built in one place. Field names are a contract with clients."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lungct.errors import LungCTError
from lungct.gate import Body
from lungct.heatmap import ActivationMap
from lungct.model import ModelContract
from lungct.pixels import Slice

JSON = "application/json"
NOTICE_HEADER = {"X-Research-Use-Only": "true"}
SCORE_HEADER = "X-Score"  # what of a reply is compared with another model's, however its body looks


@dataclass(frozen=True)
class Reply:
    """What goes back for one request, and what the metrics count of it.

    Attributes:
        outcome: "report", "refer", "canary" (scored for a monitor) or "error".
        label: the predicted class, or the error code.
        confidence: probability of the label, None for errors.
        format: of the file, as in the reply; "" for errors.
    """

    status: int
    content_type: str
    body: str | bytes
    outcome: str
    label: str
    confidence: float | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: dict(NOTICE_HEADER))
    format: str = ""


def build_score(
    probabilities: npt.NDArray[np.float64],
    slice_: Slice,
    warnings: tuple[str, ...],
    trusted: bool,
    contract: ModelContract,
    engine: str,
) -> dict[str, Any]:
    """The JSON reply without heatmap.

    Args:
        probabilities: (C,) in the contract's class order.
        trusted: whether the slice is like those on which the model was judged; one that is not is referred, however
            confident the class. So is every slice of a class for which no limit of confidence is known.
    """
    index = int(probabilities.argmax())
    label = contract.classes[index]
    confidence = round(float(probabilities[index]), 6)
    resampled = slice_.resampled if contract.geometry == "pad" else None  # the other one keeps no shape anyway
    by_name = {name: round(float(p), 6) for name, p in zip(contract.classes, probabilities, strict=True)}
    return {
        "label": label,
        "confidence": confidence,
        "probabilities": {name: by_name[name] for name in sorted(by_name, key=display_order)},
        "decision": "report" if trusted and confidence >= contract.refer_below.get(label, math.inf) else "refer",
        "warnings": list(warnings),
        "input": {
            "format": slice_.format,
            "rows": slice_.pixels.shape[0],
            "columns": slice_.pixels.shape[1],
            "window": slice_.window._asdict() if slice_.window else None,
            "rule": f"{slice_.rule}, resampled" if resampled else slice_.rule,
            "resampled": list(resampled) if resampled else None,
            "sha256": slice_.sha256,
        },
        "model": {
            "name": contract.name,
            "version": contract.version,
            "weights_sha256": contract.weights_sha256,
            "engine": engine,
        },
        "research_use_only": True,
    }


def head(score: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a reply that tells this score, see `build_score`."""
    told = {name: score[name] for name in ("label", "confidence", "decision")}
    return {**NOTICE_HEADER, SCORE_HEADER: encode_json(told)}


def display_order(name: str) -> tuple[int, str]:
    """Least to most worrying, then by name, so that people always read the classes in the same order."""
    known = ("Normal", "Benign", "Malignant")
    return (known.index(name) if name in known else len(known), name)


class Heatmap(NamedTuple):
    """What was drawn for one class of one slice.

    Attributes:
        method: "gradcam" or another method of the library.
        label: the class.
        picture: the overlay as a file of `content_type`; both None where only numbers were asked for.
    """

    method: str
    label: str
    activation: ActivationMap
    picture: bytes | None
    content_type: str | None


def build_heatmap(
    heatmap: Heatmap,
    evidence: npt.NDArray[np.float32],
    logits: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    body: Body | None,
    contract: ModelContract,
) -> dict[str, Any]:
    """The `heatmap` field: signed 7x7 evidence of every class, the logits they pool to, and the overlay if asked.

    Args:
        evidence: (C, 7, 7); pooled, plus the class's bias, it is the logit.
        logits: (C,), before temperature.
        bias: (C,) of the last layer.
        body: the slice's silhouette, for the share of Grad-CAM's positive evidence outside it.
        contract: says how the evidence is pooled.
    """
    classes = contract.classes
    order = sorted(range(len(classes)), key=lambda i: display_order(classes[i]))
    outside = None
    if body and heatmap.activation.positive and heatmap.method == "gradcam":  # other methods have no such sums
        outside = round(body.outside(evidence[classes.index(heatmap.label)]), 4)
    return {
        "method": heatmap.method,
        "class": heatmap.label,
        "positive_evidence": heatmap.activation.positive,
        "outside_body": outside,
        "completeness_error": float(f"{np.abs(contract.pooling.pool(evidence) + bias - logits).max():.3g}"),
        "pooling": contract.pooling._asdict(),
        "grids": {classes[i]: np.round(evidence[i].astype(np.float64), 5).tolist() for i in order},
        "logits": {classes[i]: round(float(logits[i]), 5) for i in order},
        "bias": {classes[i]: round(float(bias[i]), 5) for i in order},
        "content_type": heatmap.content_type,
        "data": base64.b64encode(heatmap.picture).decode("ascii") if heatmap.picture is not None else None,
    }


def band(confidence: float) -> str:
    """The band of ten percent that a confidence falls in, named by its lower edge: "0.9" is 0.9 to 1."""
    return f"{min(9, int(confidence * 10)) / 10:.1f}"


def encode_json(document: Mapping[str, Any]) -> str:
    """Compact JSON; ValueError for NaN or infinity, which JSON does not know."""
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def refuse(error: LungCTError, request_id: str | None, aloud: bool = False) -> Reply:
    """The reply for a failed request.

    Args:
        aloud: the sentence stands behind the code in `error`, too: clients of the Open Inference Protocol show no more.
    """
    document = {
        "error": f"{error.code}: {error.message}" if aloud else error.code,
        "message": error.message,
        "request_id": request_id,
        "research_use_only": True,
    }
    headers = {**NOTICE_HEADER, "Retry-After": "1"} if error.status == 503 else dict(NOTICE_HEADER)
    return Reply(error.status, JSON, encode_json(document), "error", error.code, headers=headers)
