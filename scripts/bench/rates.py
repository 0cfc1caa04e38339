"""The ways of scoring that are held against each other: in-process, served, the page this grew from, the peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lungct.engine import choose_engine
from lungct.model import ModelFolder
from lungct.pipeline import Pipeline
from lungct.settings import Settings

from scripts.bench.estimate import Sample, estimate, measure_in_turn
from scripts.bench.inprocess import OriginalPage, make_plain_network, run_forward, run_pipeline
from scripts.bench.load import run_settled
from scripts.bench.servers import OPTIONS, aim
from scripts.bench.sleeper import Sleeper
from scripts.client import Client
from scripts.instance import Instance

BUSY = 32  # callers at which served rates are compared
LIMIT, FORWARD = "in-process limit", "eager fp32 torch, forward only"
SINGLE = "in-process, one slice at a time"
PAGE, PAGE_CAM = "original page, classes", "original page, classes + Grad-CAM"
STOCK, LITSERVE = "TorchServe image_classifier", "LitServe"


def name_served(kind: str, callers: int) -> str:
    return f"served {kind}, {callers} caller{'s' if callers > 1 else ''}"


FP32 = name_served("classes, openvino-fp32", BUSY)


@dataclass(frozen=True)
class Plan:
    """How long and on what to measure.

    Attributes:
        seconds: of one measurement.
        repeats: of each way, after a warm-up round.
        threads: CPU threads, as many as cores.
        scratch: folder for the servers' files.
    """

    slices: Sequence[bytes]
    seconds: float
    repeats: int
    threads: int
    scratch: Path
    quick: bool


@dataclass(frozen=True)
class Limit:
    """The best of the batch x thread matrix of the chosen engine."""

    pipeline: Pipeline
    batch: int
    threads: int


def find_limit(folder: ModelFolder, plan: Plan) -> tuple[Limit, dict[str, list[Sample]]]:
    """Try all batch sizes and thread counts of the chosen engine; the best, and every sample by "BATCH x THREADS".

    The best of many noisy cells owes some of its rate to luck: the limit is what it reaches when it is measured again.
    """
    limits: dict[str, Limit] = {}
    for threads in {plan.threads} if plan.quick else sorted({1, plan.threads}):
        pipeline = Pipeline(folder, choose_engine(folder, "cpu", threads), Settings(), threads)
        for batch in (1, 16) if plan.quick else (1, 4, 8, 16, 32):
            limits[f"{batch} x {threads}"] = Limit(pipeline, batch, threads)
    ways = {name: partial(run_limit, each, plan.slices, plan.seconds / 2) for name, each in limits.items()}
    found = measure_in_turn("In-process limit", ways, 1 if plan.quick else 2, warm_up=not plan.quick)
    best = max(found, key=lambda name: estimate([sample.rate for sample in found[name]]).mean)
    return limits[best], found


def run_limit(limit: Limit, slices: Sequence[bytes], seconds: float) -> Sample:
    return run_pipeline(limit.pipeline, slices, limit.batch, limit.threads, seconds)


def list_ways(
    folder: ModelFolder, limit: Limit, instance: Instance, others: Mapping[str, Sleeper], plan: Plan
) -> dict[str, Callable[[], Sample]]:
    """Name -> measurement; "served ..., N" has N callers, `others` are servers that sleep meanwhile."""
    network, threads, seconds = make_plain_network(folder), plan.threads, plan.seconds
    page = OriginalPage(network)
    single = Limit(limit.pipeline, 1, limit.threads)
    ways: dict[str, Callable[[], Sample]] = {
        LIMIT: partial(run_limit, limit, plan.slices, seconds),
        FORWARD: partial(run_forward, network, 16, threads, seconds),
        SINGLE: partial(run_limit, single, plan.slices, seconds / 2),
    }
    for callers in (1, BUSY):
        for name, options in OPTIONS.items():
            if callers == BUSY or not options:
                target = aim(instance, plan.slices, options)
                ways[name_served(name, callers)] = partial(run_settled, target, callers, seconds)
    for name, server in others.items():
        ways[name] = partial(server.measure, BUSY, seconds)
    ways[PAGE] = partial(page.run, plan.slices, threads, seconds, heatmap=False)
    ways[PAGE_CAM] = partial(page.run, plan.slices, threads, seconds, heatmap=True)
    return ways


def read_engine(instance: Instance) -> str:
    """The engine that the server chose."""
    return str(Client(instance).contract()["engine"])
