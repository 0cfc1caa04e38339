"""All of the benchmark in one run: what is measured, in which order, beside what."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml

from lungct.model.folder import ModelFolder, load_model_folder
from lungct.settings import count_cores
from lungct_tools import ROOT
from lungct_tools.bench import coldstart, endurance, growth, rates, stages
from lungct_tools.bench.estimate import Sample, estimate, measure_in_turn
from lungct_tools.bench.fronts import measure_fronts
from lungct_tools.bench.layouts import serve_better
from lungct_tools.bench.load import run_open
from lungct_tools.bench.peers import serve_empty, serve_litserve, serve_stock
from lungct_tools.bench.rates import ENGINE_FP32, FP32, FP32_GRIDS, LIMIT, LIMIT_FP32, LITSERVE, STOCK, Plan
from lungct_tools.bench.servers import OPTIONS, aim, serve
from lungct_tools.bench.sleeper import Sleeper, asleep
from lungct_tools.bench.targets import CLASSES
from lungct_tools.server.instance import Instance

ARRIVALS = (0.5, 0.7, 0.9)  # shares of the served rate
OPEN_ROUNDS, OPEN_S = 3, 5
REQUESTS = 10_000


def measure(plan: Plan, source: str) -> dict[str, Any]:
    """Everything, as JSON knows it."""
    started = time.perf_counter()
    folder = load_model_folder(ROOT / "model_store" / "lung_ct")
    tried = {
        LIMIT: rates.find_limit(folder, plan, "auto", {plan.threads} if plan.quick else sorted({1, plan.threads})),
        # One thread is not tried again: on several cores it is far from the best (docs/performance.md, Engines).
        LIMIT_FP32: rates.find_limit(folder, plan, ENGINE_FP32, {plan.threads}),
    }
    limits = {name: limit for name, (limit, _) in tried.items()}
    with serve(plan.scratch / "ours", {}) as instance:
        result: dict[str, Any] = {
            "date": date.today().isoformat(),
            "machine": {**describe_machine(), "slices": source},
            "engine": rates.read_engine(instance),
            "repeats": plan.repeats,
            "quick": plan.quick,
            "limits": {
                name: {"best": limit.name, "matrix": {cell: list_rates(samples) for cell, samples in matrix.items()}}
                for name, (limit, matrix) in tried.items()
            },
            **measure_rates(folder, limits, instance, plan),
        }
        beside = rates.measure_lone(limits[LIMIT], instance, plan)
        served = estimate(result["rates"][CLASSES]["rate"]).mean
        result["open"] = measure_open(served, instance, plan)
        result["stages"] = stages.measure_stages(instance, plan)
        result["empty_ms"] = measure_empty(plan)
        result["sides"] = summarise_growth(growth.measure_sides(instance, limits[LIMIT].pipeline, plan))
    result["fronts"] = measure_fronts(plan)
    result["settings"] = summarise_growth(growth.measure_settings(plan))
    with serve(plan.scratch / "endurance", {}) as instance:
        endured, kinds = endurance.endure(instance, plan, 1 if plan.quick else REQUESTS)
    result["endurance"] = asdict(endured)
    result["beside"] = {name: summarise(samples) for name, samples in {**beside, **kinds}.items()}
    result["cold"] = coldstart.measure_starts(plan.scratch / "cold", plan.slices[0], 1 if plan.quick else 3)
    result["minutes"] = (time.perf_counter() - started) / 60
    return result


def measure_empty(plan: Plan) -> float:
    """Median milliseconds that a lone caller waits for TorchServe with nothing to do, set up and asked like ours."""
    settings = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    with serve_empty(plan.scratch / "empty", plan.slices, settings["maxBatchDelay"]) as peer:
        peer.measure(1, 1)  # as warm as ours is
        return peer.measure(1, plan.seconds).latency_ms[0]


def measure_rates(
    folder: ModelFolder, limits: Mapping[str, rates.Limit], instance: Instance, plan: Plan
) -> dict[str, Any]:
    """Every way of scoring, beside our server in fp32 and the peers; and what "peers" reach by workers x threads."""
    files, slices = plan.scratch, plan.slices
    peers = {
        STOCK: lambda layout: serve_stock(files / f"stock-{layout.workers}", folder, slices, layout),
        LITSERVE: lambda layout: serve_litserve(files / f"litserve-{layout.workers}", folder, slices, layout),
    }
    with ExitStack() as stack:
        fp32 = stack.enter_context(serve(files / "fp32", {"handler": {"engine": ENGINE_FP32}}))
        others = {FP32: stack.enter_context(asleep(partial(aim, fp32, slices, {}), fp32.pid))}
        others[FP32_GRIDS] = Sleeper(partial(aim, fp32, slices, OPTIONS["classes + grids"]), fp32.pid)
        layouts = {}
        for name, serve_peer in peers.items():
            others[name], tried = stack.enter_context(serve_better(name, serve_peer, plan))
            layouts[name] = {layout: list_rates(samples) for layout, samples in tried.items()}
        ways = rates.list_ways(folder, limits, instance, others, plan)
        found = measure_in_turn("Rates", ways, plan.repeats, warm_up=not plan.quick)
    return {"rates": {name: summarise(samples) for name, samples in found.items()}, "peers": layouts}


def summarise(samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "rate": list_rates(samples),
        "latency_ms": [sample.latency_ms for sample in samples],
        "errors": sum(sample.errors for sample in samples),
        "load_ms": statistics.fmean(sample.load_ms for sample in samples),
    }


def summarise_growth(found: Mapping[str, Mapping[int, Sequence[Sample]]]) -> dict[str, dict[int, dict[str, Any]]]:
    return {
        name: {
            size: {"rate": list_rates(each), "p50": list_p50(each), "errors": sum(sample.errors for sample in each)}
            for size, each in by_size.items()
        }
        for name, by_size in found.items()
    }


def list_errors(result: Mapping[str, Any]) -> list[str]:
    """The ways that were not always answered with 200, and how often, or not at all: such a run says nothing."""

    def walk() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for group in ("rates", "beside"):
            yield from result[group].items()
        for found in result["open"]:
            yield f"{found['asked']:.0f} arrivals/s", found
        for group in ("settings", "sides"):
            for name, by_size in result[group].items():
                yield from ((f"{name}, {size}", found) for size, found in by_size.items())
        for name, front in result.get("fronts", {}).items():
            yield from ((f"{name}, {callers} callers", found) for callers, found in front["callers"].items())

    return tell_errors(walk())


def tell_errors(rates: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """A sentence for each way with failed requests, and for each with a rate of zero."""
    said = []
    for name, found in rates:
        if found["errors"]:
            said.append(f"errors of {name}: {found['errors']}")
        if not all(found["rate"]):
            said.append(f"a rate of zero of {name}")
    return said


def list_rates(samples: Sequence[Sample]) -> list[float]:
    return [sample.rate for sample in samples]


def list_p50(samples: Sequence[Sample]) -> list[float]:
    return [sample.latency_ms[0] for sample in samples if sample.latency_ms]


def measure_open(served: float, instance: Instance, plan: Plan) -> list[dict[str, Any]]:
    """Arrivals at each share of the served rate."""
    asked = {f"{share} of the served rate": max(1.0, share * served) for share in ARRIVALS[: 1 if plan.quick else None]}

    def run(rate: float) -> Sample:
        return run_open(aim(instance, plan.slices, {}), rate, OPEN_S)

    ways: dict[str, Callable[[], Sample]] = {name: partial(run, rate) for name, rate in asked.items()}
    found = measure_in_turn("Fixed arrival rate", ways, 1 if plan.quick else OPEN_ROUNDS, warm_up=False)
    return [{"share": asked[name] / served, "asked": asked[name], **summarise(found[name])} for name in ways]


def describe_machine() -> dict[str, Any]:
    """What the rates depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    wanted = ("avx2", "avx512", "vnni", "bf16", "amx")
    flags = [flag for flag in fields.get("flags", "").split() if any(each in flag for each in wanted)]
    return {
        "processor": fields.get("model name", platform.processor()),
        "instructions": flags,
        "cores": count_cores(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
