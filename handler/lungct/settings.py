"""What an operator may set: the `handler:` section of model-config.yaml, checked once at start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Settings:
    """Limits and switches of one worker.

    Attributes:
        engine: "auto", or the name of one in `engine.TOLERANCES`, for which nothing stands in when it fails.
        threads: CPU threads for decoding and for the network; workers x threads should equal the cores. 0: all cores.
        max_bytes: largest accepted file, bytes.
        max_pixels: largest accepted rows x columns, checked before decoding.
        max_side: largest accepted rows or columns.
        library_cams: allow the Grad-CAM methods of the grad-cam package, which cost a backward pass or more a slice.
    """

    engine: str = "auto"
    threads: int = 0
    max_bytes: int = 32 * 2**20
    max_pixels: int = 16_000_000
    max_side: int = 8192
    library_cams: bool = False

    @classmethod
    def read(cls, section: Mapping[str, Any]) -> Settings:
        """Settings from the `handler:` mapping; ValueError for a key or a type we do not know."""
        known = {f.name: type(f.default) for f in fields(cls)}
        for name, given in section.items():
            if name not in known:
                raise ValueError(f"model-config.yaml: unknown handler setting {name!r}; known are {sorted(known)}.")
            if type(given) is not known[name]:
                raise ValueError(f"model-config.yaml: handler setting {name!r} must be {known[name].__name__}.")
        return cls(**section)
