"""The targets of formats, overlays, memory and starts, held against a result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lungct_tools.bench.bodies import COMPRESSED, DICOM, JPEG
from lungct_tools.bench.estimate import estimate, estimate_difference, estimate_ratio
from lungct_tools.bench.formats import LARGE, LARGE_CALLERS, NETWORK, OVERLAY, OVERLAY_PNG, PIPELINE, SCORE, WIDE
from lungct_tools.bench.rates import BUSY
from lungct_tools.bench.targets import Result, Word, decide, decide_most

QUICK = "left out of a quick run"
CODEC_MS = 1.5  # that a file of a compressed format may take beside its codec


class Row(NamedTuple):
    """One target: what it asks, where the version of the start stood, what is reached, and what is said of that."""

    name: str
    target: str
    start: str
    reached: str
    word: Word


def judge_formats(result: Result) -> list[Row]:
    """Every target in the order of the page; what is held against another version only where one is here."""
    against = _judge_against_start(result) if result["start"] else ()
    return [*_judge_shares(result), *_judge_codecs(result), *against]


def _judge_shares(result: Result) -> Iterator[Row]:
    """Rates of one version against others of its own."""
    served, score, inside = result["served"], result["score"], result["inprocess"]
    shares = (
        (f"DICOM, uncompressed, {BUSY} callers, of JPEG", 1.0, served, DICOM, JPEG),
        (f"classes + JPEG overlay, {BUSY} callers, of classes", 0.92, served, OVERLAY, JPEG),
        (f"classes + PNG overlay, {BUSY} callers, of classes", 0.75, served, OVERLAY_PNG, JPEG),
        ("in-process limit, of its network alone", 0.85, inside, PIPELINE, NETWORK),
        (f"`{SCORE}` on {result['files']:,} DICOM files, of DICOM served", 0.95, score, SCORE, DICOM),
    )
    for name, least, rates, part, whole in shares:
        target = f"≥ {least:.2f}"
        if part not in rates:
            yield Row(name, target, "", QUICK, Word.UNMEASURED)
            continue
        found = {who: estimate_ratio(rates[part][who]["rate"], rates[whole][who]["rate"]) for who in rates[part]}
        there = found["start"].show(2) if "start" in found else ""
        yield Row(name, target, there, found["ours"].show(2), decide(found["ours"], least))


def _judge_codecs(result: Result) -> Iterator[Row]:
    """What a compressed file takes beside its codec."""
    target = f"≤ codec + {CODEC_MS} ms"
    for kind in COMPRESSED:
        name = f"{kind}: a file read"
        if kind in result["missing"]:
            yield Row(name, target, "", result["missing"][kind], Word.UNMEASURED)
            continue
        found = result["reading"][kind]
        alone = found["codec"]["ms"]
        more = {who: estimate_difference(found[who]["ms"], alone) for who in found if who != "codec"}
        said = {who: f"{each.show(1)} ms more" for who, each in more.items()}
        reached = f"{said['ours']} than {estimate(alone).mean:.1f} ms"
        yield Row(name, target, said.get("start", ""), reached, decide_most(more["ours"], CODEC_MS))


def _judge_against_start(result: Result) -> Iterator[Row]:
    """What is compared between the versions."""
    served, lives, inside, reading = result["served"], result["lives"], result["inprocess"], result["reading"]
    requests = f"memory of all processes after {result['requests']:,} mixed requests"
    comparisons = (
        ("in-process limit, JPEG", "≥", 1.15, "images/s", inside.get(PIPELINE), "rate"),
        (f"{WIDE}, {BUSY} callers", "≥", 1.15, "images/s", served.get(WIDE), "rate"),
        (f"{LARGE}, {LARGE_CALLERS} callers", "≥", 0.95, "images/s", served.get(LARGE), "rate"),
        ("CPU to read a DICOM file, uncompressed, with the child process", "≤", 0.35, "ms", reading[DICOM], "cpu_ms"),
        (requests, "≤", 0.75, "MB", lives, "memory_mb"),
        ("`lungct serve` to the first good reply", "≤", 0.7, "s", lives, "start_s"),
        ("worker back after a kill", "≤", 0.75, "s", lives, "reload_s"),
    )
    for name, sign, bound, unit, by_whom, key in comparisons:
        target = f"{sign} {bound:.2f} x the start"
        if by_whom is None:
            yield Row(name, target, "", QUICK, Word.UNMEASURED)
            continue
        ours, start = by_whom["ours"][key], by_whom["start"][key]
        found = estimate_ratio(ours, start)
        word = (decide if sign == "≥" else decide_most)(found, bound)
        yield Row(name, target, _show(start, unit), f"{found.show(2)} x: {_show(ours, unit)}", word)


def _show(values: Sequence[float], unit: str) -> str:
    mean = estimate(values).mean
    return f"{mean:.{0 if mean >= 100 else 1}f} {unit}"
