"""The targets that the project set itself, held against a result: met, missed or left open, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from scripts.bench.estimate import Estimate, estimate, estimate_difference, estimate_ratio
from scripts.bench.rates import BUSY, FORWARD, FP32, LIMIT, LITSERVE, PAGE, PAGE_CAM, SINGLE, STOCK, name_served

CLASSES, GRIDS, JPEG = (name_served(f"classes{more}", BUSY) for more in ("", " + grids", " + JPEG overlay"))
ALONE = name_served("classes", 1)
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


def ratio(result: Result, way: str, reference: str) -> Estimate:
    """How many times the reference's rate, repeat by repeat."""
    return estimate_ratio(result["rates"][way]["rate"], result["rates"][reference]["rate"])


def decide(found: Estimate, least: float) -> Word:
    """Met or missed only where the whole interval says so."""
    if math.isnan(found.half):
        return Word.SINGLE
    if found.mean - found.half >= least:
        return Word.MET
    return Word.MISSED if found.mean + found.half < least else Word.OPEN


def judge(result: Result) -> list[Verdict]:
    """Every target, each followed by what helps to read it."""
    slow = _tell_lacking(result)
    verdicts = [_judge_limit(result, slow)]
    ratios = (
        ("served classes, 32 callers, of the limit", CLASSES, LIMIT, 0.85, 2, ""),
        ("served classes + grids, of served classes", GRIDS, CLASSES, 0.95, 2, ""),
        ("served classes + JPEG overlay, of served classes", JPEG, CLASSES, 0.70, 2, ""),
        ("served classes + grids against the original page with Grad-CAM", GRIDS, PAGE_CAM, 20, 1, slow),
        ("served classes in fp32 against the original page's classes", FP32, PAGE, None, 1, ""),
        ("served classes against TorchServe's image_classifier", CLASSES, STOCK, 4, 1, slow),
        ("served classes in fp32 against image_classifier", FP32, STOCK, None, 1, ""),
        ("served classes against LitServe", CLASSES, LITSERVE, None, 1, ""),
        ("served classes in fp32 against LitServe", FP32, LITSERVE, None, 1, ""),
    )
    for name, way, reference, least, digits, why in ratios:
        if way not in result["rates"]:  # an earlier result
            continue
        found = ratio(result, way, reference)
        if least is None:
            verdicts.append(Verdict(name, "", found.show(digits), Word.COMPARED))
        else:
            target = f"≥ {least} x" if least > 1 else f"≥ {least:.2f}"
            verdicts.append(Verdict(name, target, found.show(digits), decide(found, least), why))
    verdicts.append(_judge_latency(result))
    if endurance := result.get("endurance"):
        verdicts.append(_judge_endurance(endurance))
    verdicts.append(Verdict("GPU engine, of its forward pass", "≥ 0.80", "this command measures CPUs", Word.UNMEASURED))
    return verdicts


def _judge_limit(result: Result, why: str) -> Verdict:
    found, engine = ratio(result, LIMIT, FORWARD), result["engine"]
    word = decide(found, 3 if "bf16" in engine else 5)
    name = "in-process limit against eager fp32 torch, forward only"
    return Verdict(name, "≥ 5 x (int8), ≥ 3 x (bf16)", f"{found.show(1)} ({engine})", word, why)


def _judge_latency(result: Result) -> Verdict:
    alone, single = ([latency[0] for latency in result["rates"][way]["latency_ms"]] for way in (ALONE, SINGLE))
    extra = estimate_difference(alone, single)
    word = decide(Estimate(-extra.mean, extra.half), -EXTRA_MS)  # the less the better
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
