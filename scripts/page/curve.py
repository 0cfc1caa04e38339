"""The probability of the most worrying class along a series."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from lungct_tools.page.study import Finding

LINE, SHOWN = "#2f7fd0", "#d1591a"  # 3:1 and more on white and on the dark theme alike (WCAG 1.4.11)
HEIGHT = 96  # pixels: two warnings and a curve fit on the first screen of 768


def show_curve(findings: Sequence[Finding], worst: str, at: int) -> None:
    """The curve, slice number `at` marked."""
    points = [
        {"slice": number, "probability": finding.reply["probabilities"][worst], "shown": number == at}
        for number, finding in enumerate(findings, 1)
        if finding.reply
    ]
    if not points:
        return
    number, share = ({"field": field, "type": "quantitative"} for field in ("slice", "probability"))
    x = {**number, "title": None, "scale": {"domain": [1, len(findings)]}, "axis": {"tickMinStep": 1}}
    axis = {"tickCount": 3, "titleFontSize": 10}
    y = {**share, "title": f"p({worst})", "scale": {"domain": [0, 1]}, "axis": axis}
    hints = [number, {**share, "format": ".3f"}]
    place = {"x": x, "y": y, "tooltip": hints}
    line = {"type": "line", "color": LINE, "point": {"color": LINE, "size": 22}}
    rule = {"type": "rule", "color": SHOWN, "strokeDash": [4, 3]}
    dot = {"type": "point", "color": SHOWN, "size": 110, "filled": True, "opacity": 1}
    only = [{"filter": "datum.shown"}]
    layers = [
        {"mark": rule, "transform": only, "encoding": {"x": x}},
        {"mark": line, "encoding": place},
        {"mark": dot, "transform": only, "encoding": place},
    ]
    # Not by Altair: that checks the chart against its schema for half a second whenever a slice is shown.
    st.vega_lite_chart(
        {"data": {"values": points}, "layer": layers, "height": HEIGHT},
        alt=f"Probability of {worst} along the series, slice {at} marked",
    )
