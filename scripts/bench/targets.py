"""The targets that the project set itself, held against a result: met, missed or left open, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from lungct_tools.bench.estimate import Estimate, estimate, estimate_difference, estimate_ratio
from lungct_tools.bench.rates import (
    ALONE,
    BUSY,
    FORWARD,
    FP32,
    FP32_GRIDS,
    LIMIT,
    LIMIT_FP32,
    LITSERVE,
    NETWORK,
    PAGE,
    PAGE_CAM,
    SINGLE,
    STOCK,
    name_served,
)

CLASSES, GRIDS, JPEG = (name_served(f"classes{more}", BUSY) for more in ("", " + grids", " + JPEG overlay"))
EXTRA_MS = 4


class Word(StrEnum):
    """What is said of a target."""

    MET = "met"
    MISSED = "missed"
    OPEN = "open: the interval holds the target"
    SINGLE = "open: there is no interval"
    COMPARED = "for comparison"
    UNMEASURED = "not measured"


class Verdict(NamedTuple):
    """One target: what it asks, what was reached, what is said of that, and what stands against it."""

    name: str
    target: str
    reached: str
    word: Word
    why: str = ""


Result = Mapping[str, Any]


def ratio(rates: Result, way: str, reference: str) -> Estimate:
    """How many times the reference's rate, repeat by repeat."""
    return estimate_ratio(rates[way]["rate"], rates[reference]["rate"])


def decide(found: Estimate, least: float) -> Word:
    """Met or missed only where the whole interval says so."""
    if math.isnan(found.half):
        return Word.SINGLE
    if found.mean - found.half >= least:
        return Word.MET
    return Word.MISSED if found.mean + found.half < least else Word.OPEN


def decide_most(found: Estimate, most: float) -> Word:
    """The same where the less is the better."""
    return decide(Estimate(-found.mean, found.half), -most)


def judge(result: Result) -> list[Verdict]:
    """Every target, each followed by what helps to read it."""
    rates, beside = result["rates"], result["beside"]
    slow = _tell_lacking(result) or _tell_bound(rates)
    verdicts = [_judge_limit(result, slow)]
    ratios = (
        ("the same without decoding, JSON and the rest: forward only, both", rates, NETWORK, FORWARD, None, 1, ""),
        ("in-process limit in fp32 against eager fp32 torch, forward only", rates, LIMIT_FP32, FORWARD, None, 1, ""),
        ("served classes, 32 callers, of the limit", rates, CLASSES, LIMIT, 0.85, 2, ""),
        ("served classes in fp32, 32 callers, of the limit in fp32", rates, FP32, LIMIT_FP32, None, 2, ""),
        ("served classes + grids, of served classes", beside, GRIDS, CLASSES, 0.95, 2, ""),
        ("served classes + JPEG overlay, of served classes", rates, JPEG, CLASSES, 0.70, 2, ""),
        ("served classes + grids against the original page with Grad-CAM", rates, GRIDS, PAGE_CAM, 20, 1, slow),
        ("served classes + grids in fp32 against the same", rates, FP32_GRIDS, PAGE_CAM, None, 1, ""),
        ("served classes in fp32 against the original page's classes", rates, FP32, PAGE, None, 1, ""),
        ("served classes against TorchServe's image_classifier", rates, CLASSES, STOCK, 4, 1, slow),
        ("served classes in fp32 against image_classifier", rates, FP32, STOCK, None, 1, ""),
        ("served classes against LitServe", rates, CLASSES, LITSERVE, None, 1, ""),
        ("served classes in fp32 against LitServe", rates, FP32, LITSERVE, None, 1, ""),
    )
    for name, measured, way, reference, least, digits, why in ratios:
        found = ratio(measured, way, reference)
        if least is None:
            verdicts.append(Verdict(name, "", found.show(digits), Word.COMPARED))
        else:
            target = f"≥ {least} x" if least > 1 else f"≥ {least:.2f}"
            verdicts.append(Verdict(name, target, found.show(digits), decide(found, least), why))
    verdicts.append(_judge_latency(result))
    if not result["quick"]:
        verdicts.append(_judge_endurance(result["endurance"]))
    kept = "this command keeps every way on the CPU, on machines with a GPU too"
    verdicts.append(Verdict("GPU engine, of its forward pass", "≥ 0.80", kept, Word.UNMEASURED))
    return verdicts


def _judge_limit(result: Result, why: str) -> Verdict:
    found, engine = ratio(result["rates"], LIMIT, FORWARD), result["engine"]
    word = decide(found, 3 if engine == "openvino-bf16" else 5)
    name = "in-process limit against eager fp32 torch, forward only"
    return Verdict(name, "≥ 5 x (int8), ≥ 3 x (bf16)", f"{found.show(1)} ({engine})", word, why)


def _judge_latency(result: Result) -> Verdict:
    alone, single = ([latency[0] for latency in result["beside"][way]["latency_ms"]] for way in (ALONE, SINGLE))
    extra = estimate_difference(alone, single)
    word = decide_most(extra, EXTRA_MS)
    why = f"TorchServe with an empty handler takes {result['empty_ms']:.1f} ms for the same upload."
    reached = f"{extra.show(1)} ms more than {estimate(single).mean:.1f} ms"
    return Verdict("one caller, p50", f"≤ in-process + {EXTRA_MS} ms", reached, word, why)


def _judge_endurance(endurance: Result) -> Verdict:
    growth = endurance["late_mb"] / endurance["early_mb"] - 1
    reached = f"{endurance['errors']} errors, {100 * growth:+.1f} % ({endurance['late_mb']:.0f} MB with its children)"
    word = Word.MET if not endurance["errors"] and growth < 0.03 else Word.MISSED
    name = f"{endurance['requests']:,} requests, no PNG overlays"
    return Verdict(name, "no error, worker's memory + < 3 % after a tenth", reached, word)


def _tell_lacking(result: Result) -> str:
    """What the processor lacks that int8 and bf16 would be faster with."""
    flags = result["machine"]["instructions"]
    lacking = [name for name, flag in (("VNNI", "vnni"), ("bf16", "bf16")) if not any(flag in each for each in flags)]
    if not lacking:
        return ""
    return f"The processor has no {' and no '.join(lacking)} instructions, and the network takes most of the time."


def _tell_bound(rates: Result) -> str:
    """What the network alone takes of a slice, on a processor that has what int8 and bf16 ask for."""
    share, gain = ratio(rates, LIMIT, NETWORK), ratio(rates, NETWORK, FORWARD)
    return (
        f"The processor's int8 instructions are in use, and the network still takes {100 * share.mean:.0f} % of a "
        f"slice's time in-process; without all else it would be {gain.mean:.1f} x eager torch."
    )
