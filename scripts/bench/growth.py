"""How cost grows: with callers, batch size and delay, workers, and the side of the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from lungct.pipeline import Pipeline

from scripts.bench.estimate import Sample, measure_in_turn
from scripts.bench.inprocess import run_pipeline
from scripts.bench.load import run_settled
from scripts.bench.rates import BUSY, Plan
from scripts.bench.servers import aim, serve
from scripts.bench.slices import draw_slices
from scripts.instance import Instance

CALLERS = (1, 4, 16, 32, 64)
SIDES = (256, 512, 1024, 2048)


def list_settings(plan: Plan) -> dict[str, dict[str, Any]]:
    """The settings that are tried, by name: batch size x delay with one worker, and one worker a core."""
    tried = ((16, 1),) if plan.quick else ((8, 1), (16, 1), (32, 1), (16, 5))
    settings: dict[str, dict[str, Any]] = {
        f"batch {size}, delay {delay} ms": {"batchSize": size, "maxBatchDelay": delay} for size, delay in tried
    }
    if not plan.quick and plan.threads > 1:
        settings[f"{plan.threads} workers x 1 thread"] = {"minWorkers": plan.threads, "maxWorkers": plan.threads}
    return settings


def measure_settings(plan: Plan) -> dict[str, dict[int, list[Sample]]]:
    """Samples by settings and number of callers; all servers are up at once, so that they are measured in turn."""
    settings = list_settings(plan)
    with ExitStack() as stack:
        servers = {
            name: stack.enter_context(serve(plan.scratch / f"settings-{number}", changes))
            for number, (name, changes) in enumerate(settings.items())
        }
        seconds = 1 if plan.quick else 2
        ways = {
            f"{name}, {callers} callers": partial(run_settled, aim(server, plan.slices, {}), callers, seconds)
            for name, server in servers.items()
            for callers in CALLERS
        }
        found = measure_in_turn("Settings", ways, 1 if plan.quick else 2, warm_up=False)
    return {name: {callers: found[f"{name}, {callers} callers"] for callers in CALLERS} for name in settings}


def measure_sides(instance: Instance, pipeline: Pipeline, plan: Plan) -> dict[str, dict[int, list[Sample]]]:
    """Samples by way (in-process, served) and side of the picture in pixels."""
    sides = SIDES[:2] if plan.quick else SIDES
    ways: dict[str, Callable[[], Sample]] = {}
    for side in sides:
        slices = draw_slices(side, 4)
        ways[f"in-process {side}"] = partial(run_pipeline, pipeline, slices, 16, plan.threads, 1)
        ways[f"served {side}"] = partial(run_settled, aim(instance, slices, {}), BUSY, 1)
    found = measure_in_turn("Picture sizes", ways, 1 if plan.quick else 2, warm_up=False)
    return {way: {side: found[f"{way} {side}"] for side in sides} for way in ("in-process", "served")}


def choose_settings(found: Mapping[str, Mapping[int, list[Sample]]]) -> str:
    """The settings whose rate, as a share of the best at each number of callers, is best on average."""

    def mean_rate(name: str, callers: int) -> float:
        return sum(sample.rate for sample in found[name][callers]) / len(found[name][callers])

    best = {callers: max(mean_rate(name, callers) for name in found) or 1 for callers in CALLERS}
    return max(found, key=lambda name: sum(mean_rate(name, callers) / best[callers] for callers in CALLERS))
