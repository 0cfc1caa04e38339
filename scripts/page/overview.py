"""Many findings on the page: a sortable table, a slider through the series, a curve along it."""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import Any

import altair as alt
import streamlit as st

from lungct.gate.checks import LITTLE_LUNG
from lungct_tools.folder.modelfacts import tell_model
from lungct_tools.folder.record import order_classes, probability_column, write_csv
from lungct_tools.folder.rollup import RULE, tell_series
from lungct_tools.page.markup import plain
from lungct_tools.page.study import Finding, Study, judge_series

AT, SERIES = "at", "series"  # session state: number of the slice that is shown, from 1; which series


def choose_finding(study: Study, classes: tuple[str, ...]) -> Finding:
    """Let the person pick a series and a slice; the finding to show."""
    series = study.series()
    chosen = series[0]
    if len(series) > 1:
        names = [name_series(number, group) for number, group in enumerate(series, 1)]
        picked = st.selectbox(
            "Series", range(len(series)), format_func=names.__getitem__, key=SERIES, on_change=_forget
        )
        chosen = series[picked]
    if len(chosen) == 1:
        return chosen[0]
    st.markdown(f"**Series.** {plain(tell_series(judge_series(chosen, classes)))}", help=RULE)
    if AT not in st.session_state:
        st.session_state[AT] = find_worst(chosen, classes[-1])
    table, curve = st.columns([7, 5], gap="large")
    with table, st.container(key="aside-table"):
        show_table(chosen, classes)
    with curve:
        show_curve(chosen, classes[-1])
    scroll(len(chosen))
    finding = chosen[st.session_state[AT] - 1]
    st.markdown(f"**Slice {st.session_state[AT]} of {len(chosen)}:** {plain(finding.name)}")
    return finding


def name_series(number: int, group: list[Finding]) -> str:
    """A series by its number, its UID would be a tag; files without one by their folder."""
    folder = PurePosixPath(group[0].name).parent.as_posix()
    kind = f"DICOM series {number}" if group[0].place else f"Files without DICOM header in {folder}"
    kind = kind.removesuffix(" in .")
    return f"{kind} ({len(group)} slice{'s' if len(group) != 1 else ''})"


def find_worst(findings: list[Finding], worst: str) -> int:
    """Number of the slice with the highest probability of the most worrying class: the one to look at first.

    Slices at the neck or in the abdomen come after all that show lung: of them the model knows least.
    """
    shares = [
        (LITTLE_LUNG not in finding.reply["warnings"], finding.reply["probabilities"][worst])
        if finding.reply
        else (False, -1.0)
        for finding in findings
    ]
    return shares.index(max(shares)) + 1


def scroll(count: int) -> None:
    """The slider and the two buttons around it; keys P and N do the same."""
    at = st.session_state[AT]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button("Previous", key="previous", on_click=_go, args=(at - 1,), disabled=at == 1, shortcut="P")
        st.slider("Slice", 1, count, key=AT)
        st.button("Next", key="next", on_click=_go, args=(at + 1,), disabled=at == count, shortcut="N")


def make_table(findings: list[Finding], classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """A line a slice."""
    lines = []
    for number, finding in enumerate(findings, 1):
        reply = finding.reply
        shares = reply["probabilities"] if reply else {}
        lines.append(
            {
                "slice": finding.thumbnail or None,
                "number": number,
                "file": finding.name,
                "decision": reply["decision"] if reply else "refused",
                "class": reply["label"] if reply else finding.error,
                **{probability_column(name): shares.get(name) for name in reversed(classes)},
            }
        )
    return lines


def show_table(findings: list[Finding], classes: tuple[str, ...]) -> None:
    """The table; a click on a line shows its slice."""
    shares = {
        probability_column(name): st.column_config.ProgressColumn(
            name, min_value=0, max_value=1, format="%.3f", width=120, color="primary"
        )
        for name in classes
    }
    st.dataframe(
        make_table(findings, classes),
        key="table",
        on_select=_go_to_line,
        selection_mode="single-row",
        hide_index=True,
        row_height=44,
        height=300,
        alt="One line a slice: decision, class and probabilities",
        column_config={
            "slice": st.column_config.ImageColumn("", width=52),
            "number": st.column_config.NumberColumn("no.", width=44),
            "file": st.column_config.TextColumn(width=150),
            "decision": st.column_config.TextColumn(width=72),
            "class": st.column_config.TextColumn(width=90),
            **shares,
        },
    )


def show_curve(findings: list[Finding], worst: str) -> None:
    """Probability of the most worrying class along the series, the shown slice marked."""
    points = [
        {"slice": number, "probability": finding.reply["probabilities"][worst], "shown": number == st.session_state[AT]}
        for number, finding in enumerate(findings, 1)
        if finding.reply
    ]
    if not points:
        return
    everything = alt.Chart(alt.Data(values=points))
    shown = everything.transform_filter("datum.shown")
    x = alt.X("slice:Q", title="slice", scale=alt.Scale(domain=[1, len(findings)]), axis=alt.Axis(tickMinStep=1))
    y = alt.Y("probability:Q", title=f"probability of {worst}", scale=alt.Scale(domain=[0, 1]))
    hints = ["slice:Q", alt.Tooltip("probability:Q", format=".3f")]
    chart = alt.layer(
        shown.mark_rule(color="#b34700", strokeDash=[4, 3]).encode(x=x),
        everything.mark_line(color="#0b5cad", point={"color": "#0b5cad", "size": 28}).encode(x=x, y=y, tooltip=hints),
        shown.mark_point(color="#b34700", size=120, filled=True).encode(x=x, y=y, tooltip=hints),
    )
    st.altair_chart(chart.properties(height=300), alt=f"Probability of {worst} along the series")


def make_csv(study: Study, contract: dict[str, Any]) -> str:
    """All findings as CSV, the notice in every line, the facts of the model in the first."""
    stream = io.StringIO()
    rows = (finding.row for group in study.series() for finding in group)
    write_csv(rows, order_classes(contract["classes"]), stream, tell_model(contract))
    return stream.getvalue()


def _go(number: int) -> None:
    st.session_state[AT] = number


def _forget() -> None:
    st.session_state.pop(AT, None)


def _go_to_line() -> None:
    if lines := st.session_state["table"]["selection"]["rows"]:
        _go(lines[0] + 1)
