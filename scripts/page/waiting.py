"""What is on the page while slices are scored: how many are done, and the first one that has its answer."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lungct.window import Window
from lungct_tools.page.markup import plain
from lungct_tools.page.study import Finding, view
from lungct_tools.page.viewer import show_reply

FEW = 20  # slices, which are all there before anyone has looked at the first
EVERY_S = 0.2  # the bar moves; drawn for each slice, it would cost the browser as much as the slices cost the server
WIDTH = 290  # pixels of the picture: it fits on the first screen


class Waiting:
    """The bar, and the first slice below it; `advance` is told all that is known so far."""

    def __init__(self, place: DeltaGenerator, count: int, contract: dict[str, Any]) -> None:
        self._count, self._contract = count, contract
        with place.container():
            self._bar = st.progress(0.0, "Asking the server")
            self._first = st.container()
        self._shown = count <= FEW
        self._drawn = 0.0

    def advance(self, findings: Sequence[Finding]) -> None:
        """Draw what is new, the bar not more often than it can be seen to move."""
        if monotonic() - self._drawn > EVERY_S:
            done = len(findings)
            self._bar.progress(done / self._count, f"{done} of {self._count} slices")
            self._drawn = monotonic()
        if not self._shown:
            self._shown = self._show(findings[-1])

    def _show(self, finding: Finding) -> bool:
        """Draw a slice with its answer; whether there is one."""
        reply = finding.reply
        seen = view(finding.upload, None, Window(**self._contract["window"])) if reply else None
        if reply is None or seen is None:
            return False
        with self._first:
            st.markdown(f"**First of {self._count} slices:** {plain(finding.name)}. The others follow.")
            read, look = st.columns([4, 8], gap="medium")
            with read, st.container(gap="small"):
                show_reply(reply, self._contract)
            look.image(seen.pixels, width=WIDTH, alt=f"CT slice {finding.name}")
        return True
