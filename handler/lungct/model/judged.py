"""On what kind of scans a model was judged: outside it, nothing is known of how often it errs."""

from __future__ import annotations

from typing import NamedTuple


class Judged(NamedTuple):
    """Slice thickness in mm, least and most, and kernels of reconstruction by their makers' names."""

    thinnest_mm: float = 0.0
    thickest_mm: float = 0.0
    kernels: tuple[str, ...] = ()
