"""The scored slices as a table: on the page, where a click on a line shows its slice, and as CSV."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from lungct_tools.folder.modelfacts import tell_model
from lungct_tools.folder.record import order_classes, probability_column, write_csv
from lungct_tools.folder.table import disarm
from lungct_tools.page.reading import READING
from lungct_tools.page.study import Finding, Key, Study


def make_table(
    findings: Sequence[Finding], classes: tuple[str, ...], readings: Mapping[Key, str]
) -> list[dict[str, Any]]:
    """A line a slice."""
    lines = []
    for number, finding in enumerate(findings, 1):
        reply = finding.reply
        shares = reply["probabilities"] if reply else {}
        lines.append(
            {
                "slice": finding.thumbnail or None,
                "number": number,
                "file": disarm(finding.name),  # Streamlit saves what is shown as CSV, as it is
                "decision": reply["decision"] if reply else "refused",
                "class": reply["label"] if reply else finding.error,
                READING: readings.get(finding.key, ""),
                **{probability_column(name): shares.get(name) for name in reversed(classes)},
            }
        )
    return lines


def show_table(
    findings: Sequence[Finding], classes: tuple[str, ...], readings: Mapping[Key, str], go: Callable[[int], None]
) -> None:
    """The table; a click on a line has `go` told its number."""

    def go_to_line() -> None:
        if lines := st.session_state["table"]["selection"]["rows"]:
            go(lines[0] + 1)

    shares = {
        probability_column(name): st.column_config.ProgressColumn(
            name, min_value=0, max_value=1, format="%.3f", width=120, color="primary"
        )
        for name in classes
    }
    st.dataframe(
        make_table(findings, classes, readings),
        key="table",
        on_select=go_to_line,
        selection_mode="single-row",
        hide_index=True,
        row_height=44,
        height=300,
        alt="One line a slice: decision, class, your own reading and probabilities",
        column_config={
            "slice": st.column_config.ImageColumn(width=52),
            "number": st.column_config.NumberColumn("no.", width=44),
            "file": st.column_config.TextColumn(width=150),
            "decision": st.column_config.TextColumn(width=72),
            "class": st.column_config.TextColumn(width=90),
            READING: st.column_config.TextColumn("your reading", width=96),
            **shares,
        },
    )


def make_csv(study: Study, contract: dict[str, Any], readings: Mapping[Key, str]) -> str:
    """All findings as CSV with the reader's verdicts, the notice in every line, the model's facts in the first."""
    stream = io.StringIO()
    rows = (finding.row | {READING: readings.get(finding.key, "")} for group in study.series() for finding in group)
    write_csv(rows, order_classes(contract["classes"]), stream, tell_model(contract), [READING])
    return stream.getvalue()
