"""The targets that the project set itself, held against a result: reached, met or missed, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from scripts.bench.estimate import Estimate, estimate, estimate_ratio
from scripts.bench.rates import BUSY, FORWARD, FP32, LIMIT, LITSERVE, PAGE_CAM, SINGLE, STOCK, name_served

CLASSES, GRIDS, JPEG = (name_served(f"classes{more}", BUSY) for more in ("", " + grids", " + JPEG overlay"))
ALONE = name_served("classes", 1)
EXTRA_MS = 4


class Verdict(NamedTuple):
    """One target: what it asks, what was reached, whether that is enough (None: not measured), and why not."""

    name: str
    target: str
    reached: str
    met: bool | None
    why: str = ""


Result = Mapping[str, Any]


def ratio(result: Result, way: str, reference: str) -> Estimate:
    """How many times the reference's rate, repeat by repeat."""
    return estimate_ratio(result["rates"][way]["rate"], result["rates"][reference]["rate"])


def judge(result: Result) -> list[Verdict]:
    """Every target; a share that the interval leaves open counts as met when its mean does."""
    verdicts = [_judge_limit(result)]
    shares = (
        ("served classes, 32 callers, of the limit", CLASSES, LIMIT, 0.85, "classes, 32 callers"),
        ("served classes + grids, of served classes", GRIDS, CLASSES, 0.95, "classes + grids, 32 callers"),
        ("served classes + JPEG overlay, of served classes", JPEG, CLASSES, 0.70, "classes + JPEG overlay, 32 callers"),
    )
    for name, way, reference, least, stage in shares:
        found = ratio(result, way, reference)
        why = tell_stages(result, stage)
        verdicts.append(Verdict(name, f"≥ {least:.2f}", found.show(2), found.mean >= least, why))
    page, ours = ratio(result, GRIDS, PAGE_CAM), ratio(result, FP32, PAGE_CAM)
    reached = f"{page.show(1)} (our fp32 in-process, classes: {ours.show(1)})"
    why = _tell_cost(result, "classes + grids, 32 callers")
    verdicts.append(Verdict("served grids against the original page", "≥ 20 x", reached, page.mean >= 20, why))
    stock, lit = ratio(result, CLASSES, STOCK), ratio(result, CLASSES, LITSERVE)
    reached = f"{stock.show(1)} (LitServe: {lit.show(1)})"
    why = _tell_cost(result, "classes, 32 callers")
    verdicts.append(Verdict("against TorchServe's image_classifier", "≥ 4 x", reached, stock.mean >= 4, why))
    verdicts.append(_judge_latency(result))
    if endurance := result.get("endurance"):
        verdicts.append(_judge_endurance(endurance))
    verdicts.append(Verdict("GPU engine, of its forward pass", "≥ 0.80", "this command measures CPUs", None))
    return verdicts


def tell_stages(result: Result, name: str) -> str:
    """Where the time of a slice goes, in words."""
    parts = result["stages"][name]
    return "a slice takes " + ", ".join(f"{value:.1f} ms {stage}" for stage, value in parts.items())


def _judge_limit(result: Result) -> Verdict:
    found, engine = ratio(result, LIMIT, FORWARD), result["engine"]
    least = 3 if "bf16" in engine else 5
    why = _tell_cost(result, "classes, 32 callers")
    reached = f"{found.show(1)} ({engine})"
    name = "in-process limit against eager fp32 torch, forward only"
    return Verdict(name, "≥ 5 x (int8), ≥ 3 x (bf16)", reached, found.mean >= least, why)


def _judge_latency(result: Result) -> Verdict:
    alone = estimate([latency[0] for latency in result["rates"][ALONE]["latency_ms"]])
    single = estimate([latency[0] for latency in result["rates"][SINGLE]["latency_ms"]])
    extra = alone.mean - single.mean
    reached = f"{alone.show(1)} ms = {single.show(1)} + {extra:.1f} ms"
    empty = f"TorchServe with an empty handler takes {result['empty_ms']:.1f} ms for the same upload"
    why = f"{tell_stages(result, 'classes, 1 caller')}; {empty}"
    return Verdict("one caller, p50", f"≤ in-process + {EXTRA_MS} ms", reached, extra <= EXTRA_MS, why)


def _judge_endurance(endurance: Result) -> Verdict:
    growth = endurance["late_mb"] / endurance["early_mb"] - 1
    reached = f"{endurance['errors']} errors, {100 * growth:+.1f} % ({endurance['late_mb']:.0f} MB with its children)"
    met = not endurance["errors"] and growth < 0.03
    name = f"{endurance['requests']:,} requests, no PNG overlays"
    return Verdict(name, "no error, worker's memory + < 3 % after a tenth", reached, met)


def _tell_cost(result: Result, name: str) -> str:
    """Where the time of a slice goes, and what the processor lacks to make it less."""
    flags = result["machine"]["instructions"]
    lacking = [name for name, flag in (("VNNI", "vnni"), ("bf16", "bf16")) if not any(flag in each for each in flags)]
    present = "int8 and bf16 in hardware"
    processor = f"the processor has no {' and no '.join(lacking)} instructions" if lacking else present
    return f"{processor}; {tell_stages(result, name)}"
