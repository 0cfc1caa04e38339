"""One slice as a person looks at it: its pixels, the map that is laid over them, and its answer in a line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, NamedTuple

from lungct.pixels.image import Plane, Slice
from lungct.window import Window
from lungct_tools.page.picture import ClassMap, make_map
from lungct_tools.page.study import Finding, view, view_plane

PREDICTED = "Predicted"
AHEAD_S = 0.08  # for slices that nobody looks at yet: whoever waits for the page waits for them, too


class Wishes(NamedTuple):
    """What the person wants to see.

    Attributes:
        name: class whose map is drawn, or PREDICTED.
        normal_too: draw a map for the class Normal too when it is predicted.
        window: window for looking, None for the model's.
    """

    name: str
    colours: str
    opacity: float
    normal_too: bool
    window: Window | None


class Scene(NamedTuple):
    """One slice to look at.

    Attributes:
        mark: of its pixels.
        seen: its gray levels.
        plane: its HU, None for other files.
        window: where HU are black and white at first.
        name: class of the map.
        map: None where there is nothing to draw; `told` says why.
        answer: what the server said of it.
    """

    file: str
    mark: str
    seen: Slice
    plane: Plane | None
    window: Window
    name: str
    map: ClassMap | None
    told: str
    answer: str


def make_scene(finding: Finding, wishes: Wishes, contract: dict[str, Any]) -> Scene | None:
    """The slice with its map and its answer; None where the server refused it, or it cannot be drawn."""
    reply, default = finding.reply, Window(**contract["window"])
    seen = view(finding.upload, wishes.window, default) if reply else None
    if reply is None or seen is None:
        return None
    plane = view_plane(finding.upload)
    name = reply["label"] if wishes.name == PREDICTED else wishes.name
    class_map = choose_map(reply, name, wishes, seen, contract)
    told = "" if class_map else why_no_map(reply, name)
    mark = finding.upload.mark if plane else f"{finding.upload.mark} {wishes.window}"
    answer = f"{reply['decision'].capitalize()}. {reply['label']} {reply['confidence']:.1%}"
    return Scene(finding.name, mark, seen, plane, wishes.window or default, name, class_map, told, answer)


def make_ahead(
    group: Sequence[Finding], numbers: Iterable[int], make: Callable[[Finding], Scene | None]
) -> dict[int, Scene | None]:
    """Scenes of other slices of a series, by number from 1; not all of them where that takes long, but one."""
    scenes: dict[int, Scene | None] = {}
    began = monotonic()
    for number in numbers:
        scenes[number] = make(group[number - 1])
        if monotonic() - began > AHEAD_S:
            break
    return scenes


def choose_map(
    reply: dict[str, Any], name: str, wishes: Wishes, seen: Slice, contract: dict[str, Any]
) -> ClassMap | None:
    """The map to draw; None when there is nothing to see: a Normal slice nobody asked about, or no evidence."""
    if reply["label"] == "Normal" and wishes.name == PREDICTED and not wishes.normal_too:
        return None
    class_map = make_map(reply["heatmap"], name, seen, contract["geometry"])
    return class_map if class_map.positive else None


def why_no_map(reply: dict[str, Any], name: str) -> str:
    """Why there is no overlay, in words."""
    if all(level <= 0 for row in reply["heatmap"]["grids"][name] for level in row):
        return f"No positive evidence for {name}: nothing in this slice speaks for it, so there is no map to draw."
    return "Predicted Normal: no heatmap by default. Choose a class, or switch on *Heatmap for Normal too*."
