"""Where a request's time goes, by the server's own metrics before and after a load."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import islice

from lungct_client import Client
from lungct_tools.bench.estimate import shuffle_rounds
from lungct_tools.bench.load import run_closed
from lungct_tools.bench.rates import BUSY, Plan
from lungct_tools.bench.servers import OPTIONS, aim
from lungct_tools.server.instance import Instance
from lungct_tools.server.polling import poll

STAGES = ("decode", "inference", "render")
REST = "TorchServe, HTTP, waiting"
STILL_S = 2  # longer than any batch takes
SETTLE_S = 180
ROUNDS = 2
Split = Mapping[str, float]


def measure_stages(instance: Instance, plan: Plan) -> dict[str, dict[str, float]]:
    """The split of `split_time` for one caller, and for many by kind of reply, on average over rounds."""
    loads = {"classes, 1 caller": ("classes", 1), **{f"{kind}, {BUSY} callers": (kind, BUSY) for kind in OPTIONS}}
    found: dict[str, list[Split]] = {name: [] for name in loads}
    settle(instance)
    for order in islice(shuffle_rounds(loads), 1 if plan.quick else ROUNDS):
        for name in order:
            found[name].append(split_time(instance, plan.slices, *loads[name], plan.seconds))
    return {name: average(splits) for name, splits in found.items()}


def average(splits: Sequence[Split]) -> dict[str, float]:
    """Stage by stage."""
    return {stage: statistics.fmean(split[stage] for split in splits) for stage in splits[0]}


def read_counters(instance: Instance) -> dict[str, float]:
    """Seconds of each stage so far, and "requests"."""
    return parse_counters(Client(instance).metrics())


def parse_counters(text: str) -> dict[str, float]:
    """The same from Prometheus' text format; series of one name are added up."""

    def add_up(pattern: str) -> float:
        return sum(float(value) for value in re.findall(rf"^{pattern}.* ([\d.eE+-]+)$", text, re.MULTILINE))

    stages = {name: add_up(rf'lung_ct_stage_seconds_sum\{{[^}}]*Stage="{name}"') for name in STAGES}
    return {**stages, "requests": add_up(r"lung_ct_requests_total\{")}


def settle(instance: Instance) -> tuple[dict[str, float], float]:
    """Counters once they stand still, and since when: callers that left still have requests in the queue.

    TimeoutError if they never do.
    """
    counters, since = read_counters(instance), time.perf_counter()
    for _ in poll(SETTLE_S, 0.05):
        now = read_counters(instance)
        if now != counters:
            counters, since = now, time.perf_counter()
        elif time.perf_counter() >= since + STILL_S:
            return counters, since
    raise TimeoutError("The server never rests: somebody else asks it.")


def split_time(
    instance: Instance, slices: Sequence[bytes], kind: str, callers: int, seconds: float
) -> dict[str, float]:
    """Milliseconds of wall time a slice by stage; with one caller they add up to its latency, with more to 1 / rate.

    The server has nothing to do before, and has nothing to do again afterwards.
    """
    target = aim(instance, slices, OPTIONS[kind])
    before, started = read_counters(instance), time.perf_counter()
    run_closed(target, callers, seconds)
    after, ended = settle(instance)
    elapsed = ended - started
    count = after["requests"] - before["requests"]
    parts = {stage: 1000 * (after[stage] - before[stage]) / count for stage in STAGES}
    return {**parts, REST: 1000 * elapsed / count - sum(parts.values())}
