"""Many findings on the page: which series, its verdict, a slider through it. Pictures of no series have no verdict."""

from __future__ import annotations

from pathlib import PurePosixPath

import streamlit as st

from lungct.gate.checks import LITTLE_LUNG
from lungct_tools.folder.rollup import RULE, tell_counts, tell_refused, tell_series
from lungct_tools.page import markup
from lungct_tools.page.markup import plain
from lungct_tools.page.reading import ask_reading
from lungct_tools.page.study import Finding, Study, judge_series

AT, SERIES = "at", "series"  # session state: number of the slice that is shown, from 1; which series
APART = (
    "They were chosen one by one, and nothing in them says that they belong together: no verdict on all, and no curve. "
    "For those, send DICOM files, or a ZIP of one folder for each series."
)


def choose_series(study: Study) -> list[Finding]:
    """Let the person pick a series where there are several."""
    series = study.series()
    if len(series) == 1:
        return series[0]
    names = [name_series(number, group) for number, group in enumerate(series, 1)]
    picked = st.selectbox("Series", range(len(series)), format_func=names.__getitem__, key=SERIES, on_change=_forget)
    return series[picked]


def show_verdict(group: list[Finding], classes: tuple[str, ...]) -> None:
    """What the series comes to by the folder tool's rule, and what was refused; of pictures by themselves, why not."""
    totals = judge_series(group, classes)
    (series,), refused = totals.series, tell_refused(totals.errors)
    if group[0].in_series:
        st.html(markup.show_verdict("Series", f"{tell_series(series)} {refused}", "The rule", RULE))
    else:
        st.html(markup.show_verdict("No series", f"{tell_counts(series)}. {refused}", "Why no verdict", APART))


def choose_finding(group: list[Finding], classes: tuple[str, ...]) -> Finding:
    """Let the person pick a slice and say what it shows; the finding to show."""
    if AT not in st.session_state:
        st.session_state[AT] = find_worst(group, classes[-1])
    at, count = st.session_state[AT], len(group)
    finding = group[at - 1]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if count > 1:  # keys P and N do what the buttons do
            st.button("Previous", key="previous", on_click=go, args=(at - 1,), disabled=at == 1, shortcut="P")
            st.slider("Slice", 1, count, key=AT)
            st.button("Next", key="next", on_click=go, args=(at + 1,), disabled=at == count, shortcut="N")
        if finding.reply:
            ask_reading(finding, classes)
    if count > 1:
        with st.container(key="which"):
            st.markdown(f"**Slice {at} of {count}:** {plain(finding.name)}")
    return finding


def name_series(number: int, group: list[Finding]) -> str:
    """A series by its number, its UID would be a tag; files without one by their folder."""
    first, count = group[0], f"({len(group)} slice{'s' if len(group) != 1 else ''})"
    if not first.in_series:
        return f"Pictures of no series {count}"
    if first.place and first.place.series:
        return f"DICOM series {number} {count}"
    folder = PurePosixPath(first.name).parent.as_posix()
    return f"Files of one folder {count}" if folder == "." else f"Files in {folder} {count}"


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


def go(number: int) -> None:
    """Show another slice of the series."""
    st.session_state[AT] = number


def _forget() -> None:
    st.session_state.pop(AT, None)
