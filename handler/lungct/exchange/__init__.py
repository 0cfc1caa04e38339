"""In goes what a client sent, out comes what it asks for; in goes what was found, out comes the reply."""

from lungct.exchange import coding, oip
from lungct.exchange.delivery import split
from lungct.exchange.form import CUT_OFF, LOST, SEVERAL, is_form, read_fields
from lungct.exchange.origin import Origin, read_origin
from lungct.exchange.request import ScoreRequest, parse
from lungct.exchange.result import (
    JSON,
    SCORE_HEADER,
    Heatmap,
    Reply,
    band,
    build_heatmap,
    build_score,
    encode_json,
    head,
    refuse,
)

__all__ = [
    "CUT_OFF",
    "JSON",
    "LOST",
    "SCORE_HEADER",
    "SEVERAL",
    "Heatmap",
    "Origin",
    "Reply",
    "ScoreRequest",
    "band",
    "build_heatmap",
    "build_score",
    "coding",
    "encode_json",
    "head",
    "is_form",
    "oip",
    "parse",
    "read_fields",
    "read_origin",
    "refuse",
    "split",
]
