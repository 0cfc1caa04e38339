"""The probability of the most worrying class along a series."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
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
    everything = alt.Chart(alt.Data(values=points))
    shown = everything.transform_filter("datum.shown")
    x = alt.X("slice:Q", title=None, scale=alt.Scale(domain=[1, len(findings)]), axis=alt.Axis(tickMinStep=1))
    share, scale = alt.Axis(tickCount=3, titleFontSize=10), alt.Scale(domain=[0, 1])
    y = alt.Y("probability:Q", title=f"p({worst})", scale=scale, axis=share)
    hints = ["slice:Q", alt.Tooltip("probability:Q", format=".3f")]
    chart = alt.layer(
        shown.mark_rule(color=SHOWN, strokeDash=[4, 3]).encode(x=x),
        everything.mark_line(color=LINE, point={"color": LINE, "size": 22}).encode(x=x, y=y, tooltip=hints),
        shown.mark_point(color=SHOWN, size=110, filled=True, opacity=1).encode(x=x, y=y, tooltip=hints),
    )
    st.altair_chart(chart.properties(height=HEIGHT), alt=f"Probability of {worst} along the series, slice {at} marked")
