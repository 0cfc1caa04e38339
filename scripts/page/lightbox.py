"""The viewer on the page, a Streamlit component: what it is sent, and what it says.

front/built is made from front/source by `make viewer`. It is sent one plane of pixels, decoded here; windows, zoom and
the map on or off are its own, and only another slice is asked of us.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy.typing as npt
import streamlit as st
from streamlit.components.v1 import declare_component

from lungct.pixels.image import Plane, Slice
from lungct.window import Window
from lungct_tools.page.overview import AT, go
from lungct_tools.page.picture import ClassMap, list_colours

BUILT = Path(__file__).parent / "front" / "built"
SAID, BROKEN = "lightbox", "no_lightbox"  # session state: its last answer; whether it could not start
HANDS = (
    "Wheel or arrow keys: slices. Right button or + and \u2212: zoom. Middle button, or Shift and drag: move. "
    "Two fingers: zoom and move."
)
HU_HANDS = f"Drag: window, for viewing only; no result changes. {HANDS}"
GRAY_HANDS = f"Drag: move. {HANDS} The file holds finished gray levels, so there is no window to change."

_draw = declare_component("lightbox", BUILT)


class Heat(NamedTuple):
    """The map to lay over the slice.

    Attributes:
        name: class of the map.
        opacity: 0 to 1.
        told: why there is none, where `map` is None.
    """

    name: str
    map: ClassMap | None
    colours: str
    opacity: float
    told: str


class Spot(NamedTuple):
    """Where the slice stands.

    Attributes:
        mark: of its content.
        series: mark of the series, in which zoom and window stay as they are from slice to slice.
        count: slices of the series.
    """

    name: str
    mark: str
    series: str
    count: int


def is_broken() -> bool:
    """Whether this browser could not start the viewer."""
    return bool(st.session_state.get(BROKEN))


def square(values: npt.NDArray[Any], seen: Slice) -> npt.NDArray[Any]:
    """(H, W) of the slice, in square pixels as fine as its own finer side."""
    shape = seen.resampled
    return values if shape is None else cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR)


def show_lightbox(spot: Spot, seen: Slice, plane: Plane | None, window: Window, heat: Heat) -> None:
    """The slice beside itself under its map.

    Args:
        seen: its gray levels, for files without HU.
        plane: its HU, None for other files.
        window: where HU are black and white at first.
    """

    def listen() -> None:
        said: dict[str, Any] = st.session_state.get(SAID) or {}
        at = said.get("at", 0)
        if said.get("failed"):
            st.session_state[BROKEN] = True
        elif 1 <= at <= spot.count:
            go(at)

    values = square(seen.pixels if plane is None else plane.hu.astype("<i2"), seen)
    rows, columns = values.shape
    _draw(
        plane=values.tobytes(),
        rows=rows,
        columns=columns,
        mark=spot.mark,
        series=spot.series,
        at=st.session_state.get(AT, 1),
        count=spot.count,
        window=None if plane is None else window._asdict(),
        levels=square(heat.map.levels, seen).tobytes() if heat.map else b"",
        colours=list_colours(heat.colours).tobytes(),
        opacity=heat.opacity,
        name=heat.name,
        alt=f"CT slice {spot.name}",
        told=heat.told,
        key=SAID,
        on_change=listen,
    )
