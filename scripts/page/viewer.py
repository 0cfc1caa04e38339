"""One finding on the page: decision, class, probabilities, and the slice beside its overlay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import streamlit as st

from lungct.pixels.image import Slice
from lungct.window import Window
from lungct_tools.folder.header import list_tags
from lungct_tools.folder.modelfacts import NEVER, list_never_reported, tell_never
from lungct_tools.folder.table import disarm
from lungct_tools.page import markup
from lungct_tools.page.advice import explain_decision
from lungct_tools.page.examples import DRAWN
from lungct_tools.page.lightbox import GRAY_HANDS, HU_HANDS, Heat, Spot, is_broken, show_lightbox
from lungct_tools.page.picture import (
    COLOURS,
    VIEWS,
    ClassMap,
    UInt8,
    draw_overlay,
    make_map,
    make_sheet,
    sample_colours,
)
from lungct_tools.page.study import Finding, view, view_plane

TAGS = "tags"  # session state: whether the DICOM header is shown
PREDICTED = "Predicted"
MODEL_VIEW = "As the model"
GRAY = {"as is": "gray levels as in the file", "stretch": "values stretched to gray levels"}  # where there is no window


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


def show_finding(
    finding: Finding, contract: dict[str, Any], group: Sequence[Finding], show_beside: Callable[[], None]
) -> Callable[[], bytes] | None:
    """Everything about one slice; what makes its picture to keep, None when there is nothing to draw.

    Args:
        group: the series that it belongs to.
        show_beside: draws what belongs to all slices into the column of numbers.
    """
    read, look = st.columns([4, 8], gap="medium")
    with read, st.container(key="aside", gap="small"):
        if finding.reply:
            show_reply(finding.reply, contract)
        show_beside()
        if finding.reply:
            st.caption(describe_input(finding.reply["input"]))
            show_tags(finding)
    with look:
        if finding.reply:
            spot = Spot(finding.name, finding.upload.mark, group[0].upload.mark, len(group))
            return show_pictures(finding, finding.reply, contract, spot)
        told = f"**{markup.plain(finding.name)}** was refused: {markup.plain(finding.message)} (`{finding.error}`)"
        st.error(told, icon=":material/block:")
        return None


def show_reply(reply: dict[str, Any], contract: dict[str, Any]) -> None:
    """Decision first, then class, confidence, probabilities, and warnings."""
    st.html(markup.show_decision(reply["decision"], *explain_decision(reply, contract["refer_below"])))
    st.html(markup.show_class(reply["label"], reply["confidence"]))
    st.html(markup.show_bars(reply["probabilities"], reply["label"], list_never_reported(contract)))
    if reply["warnings"]:
        st.html(markup.show_warnings(reply["warnings"]))


def describe_input(read: dict[str, Any]) -> str:
    """How the file was read."""
    rule, *resampled = read["rule"].split(", ")
    window = read["window"]
    rendered = f"window {window['center']:g}, {window['width']:g} HU" if window else GRAY[rule]
    return ", ".join((read["format"], f"{read['rows']} x {read['columns']}", rendered, *resampled))


def show_pictures(
    finding: Finding, reply: dict[str, Any], contract: dict[str, Any], spot: Spot
) -> Callable[[], bytes] | None:
    """The slice beside its overlay, and below them what to change; what makes the picture to keep."""
    place = st.container(gap="small")
    wishes = ask_wishes(reply, list_never_reported(contract))
    default = Window(**contract["window"])
    seen = view(finding.upload, wishes.window, default)
    if seen is None:
        place.info("This page cannot draw the file, although the server could read it.")
        return None
    name = reply["label"] if wishes.name == PREDICTED else wishes.name
    class_map = choose_map(reply, name, wishes, seen, contract)

    def draw() -> UInt8 | None:
        return draw_overlay(seen.pixels, class_map, wishes.colours, wishes.opacity) if class_map else None

    told = "" if class_map else why_no_map(reply, name)
    with place:
        if is_broken():
            show_two(seen, draw(), finding.name, name, told)
            hands = ""
        else:
            plane = view_plane(finding.upload)
            mark = spot.mark if plane else f"{spot.mark} {wishes.window}"
            heat = Heat(name, class_map, wishes.colours, wishes.opacity, told)
            show_lightbox(spot._replace(mark=mark), seen, plane, wishes.window or default, heat)
            hands = HU_HANDS if plane else GRAY_HANDS
        show_legend(hands, class_map, name, wishes.colours)
    mapped = name if class_map else ""
    lines = describe(reply, mapped, contract, finding.upload.drawn)
    return lambda: make_sheet(seen.pixels, draw(), wishes.colours, lines)


def show_two(seen: Slice, overlay: UInt8 | None, file: str, name: str, told: str) -> None:
    """Slice and overlay as two pictures, for browsers in which the viewer cannot start."""
    left, right = st.columns(2)
    left.image(seen.pixels, "Original", width="stretch", alt=f"CT slice {file}")
    if overlay is None:
        right.info(told)
    else:
        right.image(overlay, f"Heatmap for {name}", width="stretch", alt=f"Heatmap for {name} over the slice")


def show_legend(hands: str, class_map: ClassMap | None, name: str, colours: str) -> None:
    """What hands do in the viewer; the map's colour bar and what it is not."""
    left, right = st.columns(2)
    left.caption(hands)
    if class_map is None:
        return
    rows, columns = class_map.cells
    with right:
        st.html(markup.show_scale(sample_colours(colours), name))
        st.caption(
            f"The map has {rows} x {columns} cells, smoothed for display. It shows where the model looked, "
            f"and is no outline of a finding."
        )


def ask_wishes(reply: dict[str, Any], never: list[str]) -> Wishes:
    """The controls above the pictures; classes that are never reported are marked."""
    classes = list(reply["probabilities"])
    name = st.segmented_control(
        "Map of",
        [PREDICTED, *classes],
        format_func=lambda each: f"{each} ({NEVER})" if each in never else each,
        default=PREDICTED,
        required=True,
        key="map_of",
    )
    with st.container(horizontal=True, gap="medium"):
        colours = st.segmented_control("Colours", COLOURS, default=COLOURS[0], required=True, key="colours")
        opacity = st.slider("Heatmap opacity, %", 0, 100, 45, 5, key="opacity", width=210)
        chosen = MODEL_VIEW
        if reply["input"]["window"]:
            views = [MODEL_VIEW, *VIEWS]
            chosen = st.segmented_control("Window (viewing only)", views, default=MODEL_VIEW, required=True, key="view")
    if chosen != MODEL_VIEW:
        st.caption("The window is for viewing only: the model got its own, and no result changes.")
    normal_too = st.toggle("Heatmap for Normal too", key="normal_too")
    return Wishes(name, colours, opacity / 100, normal_too, VIEWS.get(chosen))


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


def describe(reply: dict[str, Any], mapped: str, contract: dict[str, Any], drawn: bool) -> list[str]:
    """Lines under the picture that is kept: what the page says, for it is shown alone. No file name, no tag."""
    headline, reason = explain_decision(reply, contract["refer_below"])
    shares = ", ".join(f"{name} {share:.3f}" for name, share in reply["probabilities"].items())
    model = reply["model"]
    lines = (
        DRAWN if drawn else "",
        f"{headline.upper()}. {reason}",
        f"Class {reply['label']} ({shares}).",
        *reply["warnings"],
        tell_never(contract),
        f"Heatmap (Grad-CAM) for {mapped}: where the model looked, coarse, no outline." if mapped else "No heatmap.",
        f"Model {model['name']} {model['version']}, {model['weights_sha256'][:12]}, {model['engine']}. "
        f"Slice {reply['input']['sha256'][:12]}.",
    )
    return [line for line in lines if line]


def show_tags(finding: Finding) -> None:
    """The DICOM header, only for who asks: it may name a patient."""
    if finding.place is None:
        return
    if st.toggle(
        "Show the DICOM header", key=TAGS, help="It may identify a patient. It is read here and sent nowhere."
    ):
        st.dataframe(make_tags(finding.upload.body), hide_index=True, height=260)


def make_tags(body: bytes) -> list[dict[str, str]]:
    """The header as a table, which Streamlit saves as CSV as it is. Numbers are no formulas, whatever their sign."""
    return [{"tag": name, "value": value if is_number(value) else disarm(value)} for name, value in list_tags(body)]


def is_number(text: str) -> bool:
    """Whether a text is one number and nothing else."""
    try:
        float(text)
    except ValueError:
        return False
    return True
