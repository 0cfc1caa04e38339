"""A server from its start to its end: when it first answers, what it holds after mixed requests, a killed worker."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from lungct_tools.bench.bodies import Bodies
from lungct_tools.bench.codebase import Codebase
from lungct_tools.bench.coldstart import measure_reload
from lungct_tools.bench.mixture import send_mixed
from lungct_tools.server.room import measure_held
from lungct_tools.server.shutdown import stop


@dataclass(frozen=True)
class Lifetime:
    """What one server did.

    Attributes:
        start_s: from the command `serve` to the first good reply.
        memory_mb: of all its processes after the mixed requests, what they share counted once.
        reload_s: from the end of its worker, by SIGKILL, to the next good reply.
        errors: mixed requests that were not answered with 200.
    """

    start_s: float
    memory_mb: float
    reload_s: float
    errors: int


def live(code: Codebase, run: Path, store: Path, bodies: Bodies, requests: int) -> Lifetime:
    """One server of that version, with the archive in `store`."""
    started = time.perf_counter()
    instance = code.start(run, store)
    start_s = time.perf_counter() - started
    try:
        errors = send_mixed(instance, bodies, requests)
        memory_mb = measure_held(instance) / 1e6
        return Lifetime(start_s, memory_mb, measure_reload(instance, bodies.jpegs[0]), errors)
    finally:
        stop(instance)
