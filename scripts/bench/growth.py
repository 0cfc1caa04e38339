"""How cost grows: with callers, batch size and delay, workers, and the side of the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from lungct.pipeline import Pipeline
from lungct_tools.bench.estimate import Sample, estimate, measure_in_turn
from lungct_tools.bench.inprocess import run_pipeline
from lungct_tools.bench.rates import BUSY, Plan
from lungct_tools.bench.servers import aim, run_served, serve
from lungct_tools.bench.sleeper import asleep
from lungct_tools.bench.slices import draw_slices
from lungct_tools.server.instance import Instance

CALLERS = (1, 4, 16, 32, 64)
SIDES = (256, 512, 1024, 2048)
BATCH = 16  # of the in-process pipeline, by sides
# Four rounds of two seconds make narrower intervals than three of four seconds, which take longer.
SETTINGS_ROUNDS, SIDES_ROUNDS = 4, 3
SETTINGS_S, SIDES_S = 2, 1  # of one measurement


def list_settings(plan: Plan) -> dict[str, dict[str, Any]]:
    """The settings that are tried, by name: batch size x delay with one worker, and one worker a core."""
    tried = ((16, 1),) if plan.quick else ((8, 1), (16, 1), (16, 5), (32, 5))
    settings: dict[str, dict[str, Any]] = {
        f"batch {size}, delay {delay} ms": {"batchSize": size, "maxBatchDelay": delay} for size, delay in tried
    }
    if not plan.quick and plan.threads > 1:
        settings[f"{plan.threads} workers x 1 thread"] = {"minWorkers": plan.threads, "maxWorkers": plan.threads}
    return settings


def measure_settings(plan: Plan) -> dict[str, dict[int, list[Sample]]]:
    """Samples by settings and number of callers; all servers are up at once, and sleep but for their turns."""
    settings = list_settings(plan)
    with ExitStack() as stack:
        servers = {}
        for number, (name, changes) in enumerate(settings.items()):
            instance = stack.enter_context(serve(plan.scratch / f"settings-{number}", changes))
            servers[name] = stack.enter_context(asleep(partial(aim, instance, plan.slices, {}), instance.pid))
            servers[name].measure(BUSY, SETTINGS_S)
        ways = {
            f"{name}, {callers} callers": partial(server.measure, callers, 1 if plan.quick else SETTINGS_S)
            for name, server in servers.items()
            for callers in CALLERS
        }
        found = measure_in_turn("Settings", ways, 1 if plan.quick else SETTINGS_ROUNDS, warm_up=False)
    return {name: {callers: found[f"{name}, {callers} callers"] for callers in CALLERS} for name in settings}


def measure_sides(instance: Instance, pipeline: Pipeline, plan: Plan) -> dict[str, dict[int, list[Sample]]]:
    """Samples by way (in-process, served) and side of the picture in pixels."""
    sides = SIDES[:2] if plan.quick else SIDES
    ways: dict[str, Callable[[], Sample]] = {}
    for side in sides:
        slices = draw_slices(side, 4)
        ways[f"in-process {side}"] = partial(run_pipeline, pipeline, slices, BATCH, plan.threads, SIDES_S)
        ways[f"served {side}"] = partial(run_served, instance, slices, {}, BUSY, 2 * SIDES_S)
    found = measure_in_turn("Picture sizes", ways, 1 if plan.quick else SIDES_ROUNDS, warm_up=False)
    return {way: {side: found[f"{way} {side}"] for side in sides} for way in ("in-process", "served")}


def find_best(rates: Mapping[str, Sequence[float]]) -> list[str]:
    """The settings that may be the best: the one with the highest mean, and those whose intervals overlap its own."""
    found = {name: estimate(values) for name, values in rates.items()}
    best = max(found.values(), key=lambda each: each.mean)
    return [name for name, each in found.items() if not each.mean + each.half < best.mean - best.half]
