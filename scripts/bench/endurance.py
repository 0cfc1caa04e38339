"""Does the worker's memory grow? Thousands of requests of the cheaper kinds on one server."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from scripts.bench.load import run_closed
from scripts.bench.rates import BUSY, Plan
from scripts.bench.servers import OPTIONS, aim, find_workers
from scripts.instance import Instance

STEP_S = 4
KINDS = ("classes", "classes + grids", "classes + JPEG overlay")


@dataclass(frozen=True)
class Endurance:
    """Requests sent, errors among them, and the resident memory of the worker and its children in MB.

    `early_mb` is after the first tenth of the requests, `late_mb` at the end.
    """

    requests: int
    errors: int
    early_mb: float
    late_mb: float


def endure(instance: Instance, plan: Plan, requests: int) -> Endurance:
    """Send at least `requests` requests, KINDS in turn."""
    targets = [aim(instance, plan.slices[:4], OPTIONS[kind]) for kind in KINDS]
    answered = errors = 0
    early: float | None = None
    while answered < requests:
        sample = run_closed(targets, BUSY, STEP_S)
        answered, errors = answered + sample.answered, errors + sample.errors
        if early is None and answered >= requests / 10:
            early = measure_memory(instance)
    late = measure_memory(instance)
    return Endurance(answered, errors, early or late, late)


def measure_memory(instance: Instance) -> float:
    """Resident memory of the workers and their children, MB."""
    workers = [psutil.Process(pid) for pid in find_workers(instance)]
    family = [process for worker in workers for process in (worker, *worker.children(recursive=True))]
    return sum(process.memory_info().rss for process in family) / 1e6
