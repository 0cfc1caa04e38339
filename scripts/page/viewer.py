"""One finding on the page: decision, class, probabilities, and the slice beside its overlay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from lungct_tools.folder.header import list_tags
from lungct_tools.folder.modelfacts import NEVER, list_never_reported, tell_never
from lungct_tools.folder.table import disarm
from lungct_tools.page import markup
from lungct_tools.page.advice import explain_decision
from lungct_tools.page.examples import DRAWN
from lungct_tools.page.lightbox import GRAY_HANDS, HU_HANDS, Spot, is_broken, show_lightbox, take_wanted
from lungct_tools.page.picture import COLOURS, VIEWS, UInt8, draw_overlay, make_sheet, sample_colours
from lungct_tools.page.scene import PREDICTED, Scene, Wishes, make_ahead, make_scene
from lungct_tools.page.study import Finding

TAGS = "tags"  # session state: whether the DICOM header is shown
MODEL_VIEW = "As the model"
GRAY = {"as is": "gray levels as in the file", "stretch": "values stretched to gray levels"}  # where there is no window


def show_finding(
    group: Sequence[Finding], spot: Spot, contract: dict[str, Any], show_beside: Callable[[], None]
) -> Callable[[], bytes] | None:
    """Everything about one slice of a series; what makes its picture to keep, None when there is nothing to draw.

    Args:
        show_beside: draws what belongs to all slices into the column of numbers.
    """
    finding = group[spot.at - 1]
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
            return show_pictures(group, spot, finding.reply, contract)
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
    group: Sequence[Finding], spot: Spot, reply: dict[str, Any], contract: dict[str, Any]
) -> Callable[[], bytes] | None:
    """The slice beside its overlay, and below them what to change; what makes the picture to keep."""
    place = st.container(gap="small")
    wishes = ask_wishes(reply, list_never_reported(contract))
    scene = make_scene(group[spot.at - 1], wishes, contract)
    if scene is None:
        place.info("This page cannot draw the file, although the server could read it.")
        return None

    def draw() -> UInt8 | None:
        return draw_overlay(scene.seen.pixels, scene.map, wishes.colours, wishes.opacity) if scene.map else None

    with place:
        if is_broken():
            show_two(scene, draw())
        else:
            spot = spot._replace(scope=f"{spot.scope} {wishes._replace(colours='', opacity=0)}")
            others = make_ahead(group, take_wanted(spot), lambda each: make_scene(each, wishes, contract))
            show_lightbox(spot, {spot.at: scene, **others}, wishes.colours, wishes.opacity)
        with st.container(key="legend"):
            show_legend(scene, wishes.colours)
    lines = describe(reply, scene.name if scene.map else "", contract, group[spot.at - 1].upload.drawn)
    return lambda: make_sheet(scene.seen.pixels, draw(), wishes.colours, lines)


def show_two(scene: Scene, overlay: UInt8 | None) -> None:
    """Slice and overlay as two pictures, for browsers in which the viewer cannot start."""
    left, right = st.columns(2)
    left.image(scene.seen.pixels, "Original", width="stretch", alt=f"CT slice {scene.file}")
    if overlay is None:
        right.info(scene.told)
    else:
        right.image(
            overlay, f"Heatmap for {scene.name}", width="stretch", alt=f"Heatmap for {scene.name} over the slice"
        )


def show_legend(scene: Scene, colours: str) -> None:
    """What hands do in the viewer; the map's colour bar and what it is not."""
    left, right = st.columns(2)
    if not is_broken():
        left.caption(HU_HANDS if scene.plane else GRAY_HANDS)
    if scene.map is None:
        return
    rows, columns = scene.map.cells
    with right:
        st.html(markup.show_scale(sample_colours(colours), scene.name))
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
