"""Examples for the empty page, drawn by this program: nobody needs a patient's scan to see what the page does."""

from __future__ import annotations

import io
from functools import cache

from lungct_tools.page.uploads import Upload
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.picture import write_png
from lungct_tools.phantom.series import draw_volume

SLICES = 7
SERIES, PICTURE = "A drawn series (DICOM)", "A drawn slice (PNG)"
DRAWN = (
    "This example is drawn by a program; no patient is behind it. It shows the software, not the model's skill: no "
    "drawn slice was in its training."
)


@cache
def draw_example(name: str) -> tuple[Upload, ...]:
    """The slices of the example SERIES or PICTURE; drawn once, which takes some seconds."""
    if name == SERIES:
        upwards = enumerate(draw_volume(SLICES, "spiculated", name="example"))
        return tuple(Upload(f"drawn-series/{SLICES - number}.dcm", body, drawn=True) for number, body in upwards)
    stream = io.BytesIO()
    write_png(draw_slice(1, "spiculated"), stream)
    return (Upload("drawn-slice.png", stream.getvalue(), loose=True, drawn=True),)
