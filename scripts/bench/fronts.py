"""What a front costs: TorchServe and the one without it, the same model and settings, turn by turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from lungct_tools.bench.estimate import Sample, estimate, estimate_ratio, measure_in_turn
from lungct_tools.bench.rates import BUSY, Plan
from lungct_tools.bench.servers import aim, serve
from lungct_tools.bench.sleeper import asleep
from lungct_tools.server.instance import FRONTS
from lungct_tools.server.room import measure_held

CALLERS = (1, BUSY)


def measure_fronts(plan: Plan) -> dict[str, dict[str, Any]]:
    """Of each front its samples by the number of callers, and the memory of all its processes afterwards in MB."""
    with ExitStack() as stack:
        instances = {f: stack.enter_context(serve(plan.scratch / f"front-{f}", {}, f)) for f in FRONTS}
        sleepers = {
            front: stack.enter_context(asleep(partial(aim, each, plan.slices, {}), each.pid))
            for front, each in instances.items()
        }
        ways = {
            f"{front}, {callers}": partial(sleeper.measure, callers, plan.seconds)
            for front, sleeper in sleepers.items()
            for callers in CALLERS
        }
        found = measure_in_turn("Fronts", ways, plan.repeats, warm_up=not plan.quick)
        return {
            front: {
                "memory_mb": measure_held(instances[front]) / 1e6,
                "callers": {callers: _list(found[f"{front}, {callers}"]) for callers in CALLERS},
            }
            for front in FRONTS
        }


def _list(samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "rate": [sample.rate for sample in samples],
        "latency_ms": [sample.latency_ms for sample in samples],
        "errors": sum(sample.errors for sample in samples),
    }


def list_fronts(fronts: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    """Rows of a table: rate, its ratio to TorchServe's taken turn by turn, p50 of each number of callers; memory."""
    first = fronts[FRONTS[0]]["callers"]
    for front, found in fronts.items():
        cells = []
        for callers, each in found["callers"].items():
            share = estimate_ratio(each["rate"], first[callers]["rate"])
            p50 = estimate([latency[0] for latency in each["latency_ms"]])
            cells += [estimate(each["rate"]).show(1), share.show(2), p50.show(1), str(each["errors"])]
        yield front, *cells, f"{found['memory_mb']:.0f}"


HEADER = ("", *(f"{what}, {n}" for n in CALLERS for what in ("images/s", "ratio", "p50 ms", "errors")), "MB")
