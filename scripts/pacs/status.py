"""What a spool holds: for people (`lungct pacs status`) and, as numbers in a file, for whoever watches."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from lungct_tools.pacs.disk import write_durably
from lungct_tools.pacs.folder import SeriesFolder
from lungct_tools.pacs.numbers import NUMBERS
from lungct_tools.pacs.spool import list_series

STATES = ("open", "unsent", "refused", "sent", "deleted")
WRITE_S = 5.0


def judge(series: SeriesFolder, peers: set[str] | None = None) -> str:
    """One of STATES: "open" where slices wait for a result, "refused" where a peer will not have it.

    Args:
        peers: who must have confirmed; None: whoever the spool has heard of.
    """
    if not series.slices():
        return "deleted"
    if not series.slices() <= series.covered():
        return "open"
    versions = series.versions()
    if any(version.refusals() for version in versions):
        return "refused"
    for version in versions:
        sent = version.sent()
        wanted = peers if peers is not None else set(sent) or {"?"}
        if any(not set(version.files) <= set(sent.get(peer, ())) for peer in wanted):
            return "unsent"
    return "sent"


def survey(root: Path, peers: set[str] | None, identify: bool = False) -> list[dict[str, Any]]:
    """A row a series: hash, state, counts. UIDs only if asked."""
    found = []
    for series in list_series(root):
        versions, slices = series.versions(), series.slices()
        row: dict[str, Any] = {
            "series": series.name,
            "state": judge(series, peers),
            "slices": len(slices),
            "scored": len(series.rows()),
            "version": series.last_report()[0],
        }
        reasons = {reason for version in versions for reason in version.refusals().values()}
        if reasons:
            row["reason"] = "; ".join(sorted(reasons))
        if identify and slices:
            with suppress(FileNotFoundError):  # deleted meanwhile
                header = series.header(min(slices))
                row |= {"study_uid": str(header.StudyInstanceUID), "series_uid": str(header.SeriesInstanceUID)}
        found.append(row)
    return found


def write_numbers(root: Path, peers: set[str], scored: int, waiting_since: float | None, ended: bool = False) -> None:
    """The numbers of this moment, for the exporter.

    Args:
        scored: slices since the process began.
        waiting_since: Unix time since when the oldest series waits for its result, or a result for its peer.
        ended: nobody keeps the spool from now on.
    """
    states = Counter(judge(series, peers) for series in list_series(root))
    numbers = {
        "at": 0.0 if ended else time.time(),
        "states": {state: states[state] for state in STATES},
        "scored": scored,
        "oldest_unsent_s": max(0.0, time.time() - waiting_since) if waiting_since else 0.0,
        "peers": sorted(peers),
    }
    write_durably(root / NUMBERS, json.dumps(numbers).encode())
