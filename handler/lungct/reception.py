"""One row of a batch -> what its client asks and the slice, decoded; within what the batch may draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lungct.errors import LungCTError
from lungct.exchange import ScoreRequest, coding, oip, parse
from lungct.heatmap import Allowance
from lungct.model import ModelContract
from lungct.pixels import Slice, decode, measure
from lungct.settings import Settings


def receive(
    row: Mapping[str, Any],
    headers: Mapping[str, Any],
    contract: ModelContract,
    settings: Settings,
    allowance: Allowance,
) -> tuple[ScoreRequest, Slice]:
    """Read one request and decode its file.

    Args:
        row, headers: as TorchServe hands them over, see `exchange.parse`.
        contract: classes and window of the model.
        settings: limits.
        allowance: what the batch may still draw. Where the file's head tells its size a picture that is too much is
            refused before it costs its decoding.

    Raises:
        LungCTError: for whatever is wrong with what the client sent, and busy.
    """
    request = parse(coding.undo(row, headers, settings.max_bytes), headers, contract.classes)
    if request.heatmap_method != "gradcam" and not settings.library_cams:
        raise LungCTError("bad_option", "X-Heatmap-Method: this server offers gradcam only (library_cams is off).")
    known = measure(request.body) if request.draws else None
    if known:
        allowance.take(known)
    try:
        slice_ = decode(request.body, request.window, request.frame, contract.window, settings)
    except LungCTError as error:
        raise (oip.explain(error, request.body) if request.binary else error) from None
    if request.draws and not known:
        allowance.take(slice_.pixels.size)
    return request, slice_
