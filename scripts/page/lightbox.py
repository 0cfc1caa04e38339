"""The viewer on the page, a Streamlit component: what it is sent, and what it says.

front/built is made from front/source by `make viewer`. It is sent planes of pixels, decoded here: that of the slice to
show, and of a few next to it, which it shows at a step before we hear of it. Windows, zoom and the map on or off are
its own. Each plane comes with its own map and answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy.typing as npt
import streamlit as st
from streamlit.components.v1 import declare_component

from lungct.pixels.image import Slice
from lungct_tools.page.overview import go
from lungct_tools.page.picture import list_colours
from lungct_tools.page.scene import Scene

BUILT = Path(__file__).parent / "front" / "built"
SAID, BROKEN = "lightbox", "no_lightbox"  # session state: its last answer; whether it could not start
WANTED = "wanted_slices"  # session state: what it asked for
HANDS = (
    "Wheel or arrow keys: slices. Right button or + and \u2212: zoom. Middle button, or Shift and drag: move. "
    "Two fingers: zoom and move."
)
HU_HANDS = f"Drag: window, for viewing only; no result changes. {HANDS}"
GRAY_HANDS = f"Drag: move. {HANDS} The file holds finished gray levels, so there is no window to change."

_draw = declare_component("lightbox", BUILT)


class Spot(NamedTuple):
    """Where the slice stands that is shown.

    Attributes:
        series: mark of the series, in which zoom and window stay as they are from slice to slice.
        scope: mark of all that pixels, maps and answers of its slices come from; while it is the same, slices that were
            sent before are still right.
        count: slices of the series.
    """

    at: int
    series: str
    scope: str
    count: int


def is_broken() -> bool:
    """Whether this browser could not start the viewer."""
    return bool(st.session_state.get(BROKEN))


def take_wanted(spot: Spot) -> list[int]:
    """Numbers of other slices of the series that the viewer asked for, so that it has them when they are wanted."""
    return [number for number in st.session_state.pop(WANTED, ()) if 1 <= number <= spot.count and number != spot.at]


def square(values: npt.NDArray[Any], seen: Slice) -> npt.NDArray[Any]:
    """(H, W) of the slice, in square pixels as fine as its own finer side."""
    shape = seen.resampled
    return values if shape is None else cv2.resize(values, shape[::-1], interpolation=cv2.INTER_LINEAR)


def show_lightbox(spot: Spot, scenes: Mapping[int, Scene | None], colours: str, opacity: float) -> None:
    """The slice beside itself under its map.

    Args:
        scenes: slice `spot.at`, and others by their numbers, None for those that cannot be drawn.
        opacity: 0 to 1, of the map.
    """

    def listen() -> None:
        said: dict[str, Any] = st.session_state.get(SAID) or {}
        if said.get("failed"):
            st.session_state[BROKEN] = True
        elif said.get("series") == spot.series and 1 <= said["at"] <= spot.count:  # else of a series before this one
            go(said["at"])
            st.session_state[WANTED] = said["lacks"]

    parts: list[bytes] = []
    _draw(
        slices=[describe(number, spot, scene, parts) for number, scene in scenes.items()],
        pixels=b"".join(parts),
        **spot._asdict(),
        colours=list_colours(colours).tobytes(),
        opacity=opacity,
        key=SAID,
        on_change=listen,
    )


def describe(number: int, spot: Spot, scene: Scene | None, parts: list[bytes]) -> dict[str, Any]:
    """What the viewer is told of a slice; its pixels and its map come to `parts`, where they are as long as is told."""
    if scene is None:
        return {"at": number, "plane": 0, "levels": 0}
    seen, plane = scene.seen, scene.plane
    values = square(seen.pixels if plane is None else plane.hu.astype("<i2"), seen)
    levels = square(scene.map.levels, seen).tobytes() if scene.map else b""
    parts += (values.tobytes(), levels)
    return {
        "at": number,
        "plane": values.nbytes,
        "levels": len(levels),
        "rows": values.shape[0],
        "columns": values.shape[1],
        "mark": scene.mark,
        "window": scene.window._asdict() if plane else None,
        "name": scene.name,
        "alt": f"CT slice {scene.file}",
        "told": scene.told,
        "answer": f"{number} of {spot.count}. {scene.answer}" if spot.count > 1 else scene.answer,
    }
