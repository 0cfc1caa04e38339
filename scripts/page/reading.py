"""The reader's own verdict on each slice, beside the model's. It lives in the browser session and in the saved CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from lungct_tools.page.study import Finding, Key

READINGS = "readings"  # session state: verdict by Finding.key
NEW = "new_reading"  # session state: whether one was given since the table was drawn
READING = "reading"  # column of the tables, and session state of the control
UNSURE = "unsure"  # counts as read, and neither for nor against the model


def recall_readings() -> dict[Key, str]:
    """The verdicts that were given so far, by the slice's name and content."""
    readings: dict[Key, str] = st.session_state.setdefault(READINGS, {})
    return readings


def is_new() -> bool:
    """Whether a verdict was given since this was asked last."""
    return bool(st.session_state.pop(NEW, False))


def ask_reading(finding: Finding, classes: Sequence[str]) -> None:
    """The control for the slice that is shown."""
    st.session_state[READING] = recall_readings().get(finding.key)
    st.segmented_control(
        "Your own reading",
        [*classes, UNSURE],
        key=READING,
        on_change=_keep,
        args=(finding.key,),
        help="Kept for this tab only, and saved with the CSV. It is sent nowhere and changes no result.",
    )


def tell_agreement(findings: Sequence[Finding], readings: Mapping[Key, str]) -> str:
    """How far reader and model agree on the scored slices that were read, as a sentence; empty before any was."""
    read = [
        (number, finding.reply["label"], readings[finding.key])
        for number, finding in enumerate(findings, 1)
        if finding.reply and finding.key in readings
    ]
    if not read:
        return ""
    agreed = sum(label == verdict for _, label, verdict in read)
    unsure = sum(verdict == UNSURE for _, _, verdict in read)
    apart = [str(number) for number, label, verdict in read if verdict not in (label, UNSURE)]
    found = [f"{len(read)} of {len(findings)} slices read", f"{agreed} as the model"]
    found += [f"{len(apart)} otherwise (slice{'s' if len(apart) != 1 else ''} {', '.join(apart)})"] if apart else []
    return f"Your own reading: {', '.join(found + ([f'{unsure} unsure'] if unsure else []))}."


def _keep(key: Key) -> None:
    readings = recall_readings()
    st.session_state[NEW] = True
    if verdict := st.session_state[READING]:
        readings[key] = verdict
    else:  # a second click takes it back
        readings.pop(key, None)
