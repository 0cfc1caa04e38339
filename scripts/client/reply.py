"""The server's answer for one slice."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any


class Reply(Mapping[str, Any]):
    """What the server said of a slice, field by field, and as it came.

    It is the mapping that the reply's JSON is, so `reply["label"]` and `reply.label` are the same.

    Attributes:
        raw: the JSON document as the server sent it, with fields that this client does not know yet.
        request_id: by which the operator finds the request in the logs; None over gRPC.
    """

    __slots__ = ("raw", "request_id")

    def __init__(self, raw: dict[str, Any], request_id: str | None = None) -> None:
        self.raw, self.request_id = raw, request_id

    @property
    def label(self) -> str:
        """The class of the highest probability."""
        return str(self.raw["label"])

    @property
    def confidence(self) -> float:
        """Its calibrated probability, 0 to 1."""
        return float(self.raw["confidence"])

    @property
    def probabilities(self) -> dict[str, float]:
        """Class -> calibrated probability, 0 to 1, from least to most worrying class."""
        return dict(self.raw["probabilities"])

    @property
    def reported(self) -> bool:
        """Whether the label may be reported; False: a reader has to look at the slice, and `warnings` tell why."""
        return bool(self.raw["decision"] == "report")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on how the slice was read and what it is unlike."""
        return tuple(self.raw["warnings"])

    @property
    def evidence(self) -> dict[str, list[list[float]]]:
        """Class -> 7 x 7 signed evidence sums before the ReLU; empty where no heatmap was asked for."""
        return dict(self.raw.get("heatmap", {}).get("grids", {}))

    @property
    def overlay(self) -> bytes | None:
        """The heatmap over the slice as an encoded picture; None where none was asked for, or numbers alone."""
        data = self.raw.get("heatmap", {}).get("data")
        return base64.b64decode(data) if data else None

    def __getitem__(self, name: str) -> Any:
        return self.raw[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def __repr__(self) -> str:
        return f"Reply({self.raw.get('label')!r}, {self.raw.get('confidence')!r}, {self.raw.get('decision')!r})"
