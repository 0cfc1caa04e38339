"""The numbers that a keeper writes of its spool, as metrics. Imports no DICOM: the exporter reads it.

A run folder names the spool that was kept beside its server last, whether or not a process keeps it now.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from lungct_client.address import read_plain
from lungct_tools.server.runfolder import RunFolderError, is_ours, resolve, write_whole

NUMBERS = "numbers.json"
FRESH_S = 60.0  # older numbers are of a process that ended
_RECORD = "pacs.json"


def record_spool(run: Path, spool: Path) -> bool:
    """Tell the exporter of the server of a run folder where the spool is: whether it is told.

    It is not where there is no such folder, or one that another user could have prepared: nothing is written there.
    """
    try:
        folder = resolve(run)
    except RunFolderError:
        return False
    if not is_ours(folder):
        return False
    write_whole(folder / _RECORD, json.dumps({"spool": str(spool.resolve())}))
    return True


def find_spool(run: Path) -> Path | None:
    """The spool that was recorded; None where none was."""
    spool = (_read(run / _RECORD) or {}).get("spool")
    return Path(spool) if isinstance(spool, str) else None


def read_numbers(root: Path) -> Mapping[str, Any] | None:
    """The last numbers; None where there are none, or damaged ones."""
    document = _read(root / NUMBERS) or {}
    states, peers = document.get("states"), document.get("peers")
    if not (isinstance(states, dict) and isinstance(peers, list) and all(isinstance(peer, str) for peer in peers)):
        return None
    counts = [*states.values(), *(document.get(name) for name in ("at", "scored", "oldest_unsent_s"))]
    return document if all(type(count) in (int, float) for count in counts) else None


def describe(root: Path) -> Iterator[Metric]:
    """Metrics of a spool; only `lung_ct_pacs_up` 0 where no process keeps it."""
    numbers = read_numbers(root)
    up = bool(numbers) and time.time() - numbers["at"] < FRESH_S
    yield GaugeMetricFamily("lung_ct_pacs_up", "1: a process keeps the spool", up)
    if not numbers or not up:
        return
    series = GaugeMetricFamily("lung_ct_pacs_series", "Series in the spool by state", labels=("state",))
    for state, count in numbers["states"].items():
        series.add_metric((state,), count)
    yield series
    yield GaugeMetricFamily(
        "lung_ct_pacs_oldest_unsent_seconds",
        "Age of the oldest series without its result, or result that a peer lacks",
        numbers["oldest_unsent_s"],
    )
    yield CounterMetricFamily("lung_ct_pacs_slices", "Slices scored since the process began", numbers["scored"])


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(read_plain(path)))
    except (OSError, ValueError, TypeError):
        return None
