"""Does the worker's memory grow? Thousands of requests of the cheaper kinds on one server, and how fast each kind is.

So many requests take minutes anyway. Sent one kind after the other, they tell what grids cost: less than what two
measurements of some seconds differ by, so that it takes many of them, beside each other, to be seen.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass

import psutil

from lungct_tools.bench.estimate import Sample, shuffle_rounds
from lungct_tools.bench.rates import BUSY, Plan, name_served
from lungct_tools.bench.servers import OPTIONS, find_workers, run_served
from lungct_tools.server.instance import Instance

WARM_S = 2
# Seconds a round. In a longer window the batches that its ends cut weigh less, as do starts; but it takes many rounds.
KINDS = {"classes": 4, "classes + grids": 4, "classes + JPEG overlay": 1}


@dataclass(frozen=True)
class Endurance:
    """Requests sent, errors among them, and the resident memory of the worker and its children in MB.

    `early_mb` is after the first tenth of the requests, `late_mb` at the end.
    """

    requests: int
    errors: int
    early_mb: float
    late_mb: float


def endure(instance: Instance, plan: Plan, requests: int) -> tuple[Endurance, dict[str, list[Sample]]]:
    """Send at least `requests` requests, in whole rounds of KINDS; what that did, and a sample a round by way."""
    warm = run_served(instance, plan.slices, {}, BUSY, WARM_S)
    answered, errors = warm.answered, warm.errors
    found: defaultdict[str, list[Sample]] = defaultdict(list)
    early: float | None = None
    for order in shuffle_rounds(KINDS):
        for kind in order:
            sample = run_served(instance, plan.slices, OPTIONS[kind], BUSY, KINDS[kind])
            found[name_served(kind, BUSY)].append(sample)
            answered, errors = answered + sample.answered, errors + sample.errors
        if early is None and answered >= requests / 10:
            early = measure_memory(instance)
        if answered >= requests:
            break
    late = measure_memory(instance)
    return Endurance(answered, errors, early or late, late), dict(found)


def measure_memory(instance: Instance) -> float:
    """Resident memory of the workers and their children, MB."""
    workers = [psutil.Process(pid) for pid in find_workers(instance)]
    held = sum(worker.memory_info().rss for worker in workers)
    for child in (each for worker in workers for each in worker.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # a reader that has just ended
            held += child.memory_info().rss
    return held / 1e6
