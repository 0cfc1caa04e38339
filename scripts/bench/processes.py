"""Whose CPU a request takes: Java's, the worker's, its readers' or the load generator's."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from contextlib import suppress

import psutil

from lungct_tools.bench.load import run_closed
from lungct_tools.bench.servers import OPTIONS, aim
from lungct_tools.bench.stages import settle
from lungct_tools.server.instance import Instance

JAVA, WORKER, READERS, LOAD = "Java", "worker", "readers", "load generator"
_MARKS = {"model_service_worker": WORKER, "lungct.pixels.nursery": READERS}


def split_cpu(instance: Instance, bodies: Sequence[bytes], kind: str, callers: int, seconds: float) -> dict[str, float]:
    """Milliseconds of CPU a request by process, under a closed load on a server that rests before and afterwards.

    Args:
        bodies: of the requests, in turn.
        kind: of OPTIONS.
    """
    target = aim(instance, bodies, OPTIONS[kind])
    before = settle(instance)[0]["requests"]
    spent = _read_cpu(instance)
    run_closed(target, callers, seconds)
    spent = {name: used - spent[name] for name, used in _read_cpu(instance).items()}
    count = settle(instance)[0]["requests"] - before
    return {name: 1000 * used / count for name, used in spent.items()}


def _read_cpu(instance: Instance) -> dict[str, float]:
    """Seconds of CPU so far; those of ended readers are their parent's, and count to the readers."""
    found = dict.fromkeys((JAVA, WORKER, READERS), 0.0)
    server = psutil.Process(instance.pid)
    for process in [server, *server.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # a reader that has just ended
            line, times = " ".join(process.cmdline()), process.cpu_times()
            name = next((name for mark, name in _MARKS.items() if mark in line), JAVA)
            found[name] += times.user + times.system
            found[READERS] += (times.children_user + times.children_system) if name != JAVA else 0.0
    load = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {**found, LOAD: load.ru_utime + load.ru_stime}
