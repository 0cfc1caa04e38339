"""All of the benchmark in one run: what is measured, in which order, beside what."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import torch
import yaml
from lungct.model import ModelFolder, load_model_folder
from lungct.settings import count_cores

from scripts.bench import coldstart, endurance, growth, rates, stages
from scripts.bench.estimate import Sample, estimate, measure_in_turn
from scripts.bench.layouts import serve_better
from scripts.bench.load import run_open
from scripts.bench.peers import serve_empty, serve_litserve, serve_stock
from scripts.bench.rates import FP32, LITSERVE, STOCK, Plan
from scripts.bench.servers import aim, serve
from scripts.bench.sleeper import asleep
from scripts.bench.targets import CLASSES
from scripts.instance import ROOT, Instance

ARRIVALS = (0.5, 0.7, 0.9)  # shares of the served rate
REQUESTS = 10_000


def measure(plan: Plan, source: str) -> dict[str, Any]:
    """Everything, as JSON knows it."""
    folder = load_model_folder(ROOT / "model_store" / "lung_ct")
    limit, matrix = rates.find_limit(folder, plan)
    with serve(plan.scratch / "ours", {}) as instance:
        result: dict[str, Any] = {
            "date": date.today().isoformat(),
            "machine": {**describe_machine(), "slices": source},
            "engine": rates.read_engine(instance),
            "repeats": plan.repeats,
            "quick": plan.quick,
            "limit": f"{limit.batch} x {limit.threads}",
            "matrix": {name: list_rates(samples) for name, samples in matrix.items()},
            **measure_rates(folder, limit, instance, plan),
        }
        served = estimate(result["rates"][CLASSES]["rate"]).mean
        shares = ARRIVALS[:1] if plan.quick else ARRIVALS
        result["open"] = [measure_open(share, served, instance, plan) for share in shares]
        result["stages"] = stages.measure_stages(instance, plan.slices, plan.seconds)
        result["empty_ms"] = measure_empty(plan)
        sides = growth.measure_sides(instance, limit.pipeline, plan)
        result["sides"] = {way: {side: list_rates(found[side]) for side in found} for way, found in sides.items()}
    result["settings"] = {
        name: {callers: {"rate": list_rates(each), "p50": list_p50(each)} for callers, each in found.items()}
        for name, found in growth.measure_settings(plan).items()
    }
    if not plan.quick:
        with serve(plan.scratch / "endurance", {}) as instance:
            result["endurance"] = asdict(endurance.endure(instance, plan, REQUESTS))
    result["cold"] = coldstart.measure_starts(plan.scratch / "cold", plan.slices[0], 1 if plan.quick else 3)
    return result


def measure_empty(plan: Plan) -> float:
    """Median milliseconds that a lone caller waits for TorchServe with nothing to do, set up and asked like ours."""
    settings = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    with serve_empty(plan.scratch / "empty", plan.slices, settings["maxBatchDelay"]) as peer:
        peer.measure(1, 1)  # as warm as ours is
        return peer.measure(1, plan.seconds).latency_ms[0]


def measure_rates(folder: ModelFolder, limit: rates.Limit, instance: Instance, plan: Plan) -> dict[str, Any]:
    """Every way of scoring, beside our server in fp32 and the peers; and what "peers" reach by workers x threads."""
    files, slices = plan.scratch, plan.slices
    peers = {
        STOCK: lambda layout: serve_stock(files / f"stock-{layout.workers}", folder, slices, layout),
        LITSERVE: lambda layout: serve_litserve(files / f"litserve-{layout.workers}", folder, slices, layout),
    }
    with ExitStack() as stack:
        fp32 = stack.enter_context(serve(files / "fp32", {"handler": {"engine": "openvino-fp32"}}))
        others = {FP32: stack.enter_context(asleep(aim(fp32, slices, {}), fp32.pid))}
        layouts = {}
        for name, serve_peer in peers.items():
            others[name], tried = stack.enter_context(serve_better(name, serve_peer, plan))
            layouts[name] = {layout: list_rates(samples) for layout, samples in tried.items()}
        ways = rates.list_ways(folder, limit, instance, others, plan)
        found = measure_in_turn("Rates", ways, plan.repeats, warm_up=not plan.quick)
    return {"rates": {name: summarise(samples) for name, samples in found.items()}, "peers": layouts}


def summarise(samples: Sequence[Sample]) -> dict[str, Any]:
    return {
        "rate": list_rates(samples),
        "latency_ms": [sample.latency_ms for sample in samples],
        "errors": sum(sample.errors for sample in samples),
        "load_ms": statistics.fmean(sample.load_ms for sample in samples),
    }


def list_rates(samples: Sequence[Sample]) -> list[float]:
    return [sample.rate for sample in samples]


def list_p50(samples: Sequence[Sample]) -> list[float]:
    return [sample.latency_ms[0] for sample in samples if sample.latency_ms]


def measure_open(share: float, served: float, instance: Instance, plan: Plan) -> dict[str, Any]:
    asked = max(1.0, share * served)
    return {"share": share, "asked": asked, **asdict(run_open(aim(instance, plan.slices, {}), asked, 3 * plan.seconds))}


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
