"""The ways of scoring that are held against each other: in-process, served, the page this grew from, the peers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lungct.engines import choose_engine
from lungct.model.folder import ModelFolder
from lungct.pipeline import Pipeline
from lungct.settings import Settings
from lungct_client import Client
from lungct_tools.bench.estimate import Sample, estimate, measure_in_turn
from lungct_tools.bench.inprocess import OriginalPage, make_plain_network, run_engine, run_forward, run_pipeline
from lungct_tools.bench.servers import OPTIONS, run_served
from lungct_tools.bench.sleeper import Sleeper
from lungct_tools.server.instance import Instance

BUSY = 32  # callers at which served rates are compared
LONE_ROUNDS = 16
ENGINE_FP32 = "openvino-fp32"
LIMIT, FORWARD = "in-process limit", "eager fp32 torch, forward only"
NETWORK = "in-process, forward only"
LIMIT_FP32 = f"in-process limit, {ENGINE_FP32}"
SINGLE = "in-process, one slice at a time"
PAGE, PAGE_CAM = "original page, classes", "original page, classes + Grad-CAM"
STOCK, LITSERVE = "TorchServe image_classifier", "LitServe"


def name_served(kind: str, callers: int) -> str:
    return f"served {kind}, {callers} caller{'s' if callers > 1 else ''}"


ALONE = name_served("classes", 1)
FP32, FP32_GRIDS = (name_served(f"{kind}, {ENGINE_FP32}", BUSY) for kind in ("classes", "classes + grids"))


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
    """The best of the batch x thread matrix of an engine."""

    pipeline: Pipeline
    batch: int
    threads: int

    @property
    def name(self) -> str:
        return f"{self.batch} x {self.threads}"


def find_limit(
    folder: ModelFolder, plan: Plan, engine: str, threads: Collection[int]
) -> tuple[Limit, dict[str, list[Sample]]]:
    """Try all batch sizes and some thread counts of an engine; the best, and every sample by "BATCH x THREADS".

    The best of many noisy cells owes some of its rate to luck: the limit is what it reaches when it is measured again.
    """
    limits: list[Limit] = []
    for count in threads:
        pipeline = Pipeline(folder, choose_engine(folder, "cpu", count, engine), Settings(), count)
        for batch in (1, 16) if plan.quick else (1, 4, 8, 16, 32):
            limits.append(Limit(pipeline, batch, count))
    ways = {each.name: partial(run_limit, each, plan.slices, plan.seconds / 2) for each in limits}
    found = measure_in_turn(f"In-process limit, {engine}", ways, 1 if plan.quick else 2, warm_up=not plan.quick)
    best = max(limits, key=lambda each: estimate([sample.rate for sample in found[each.name]]).mean)
    return best, found


def run_limit(limit: Limit, slices: Sequence[bytes], seconds: float) -> Sample:
    return run_pipeline(limit.pipeline, slices, limit.batch, limit.threads, seconds)


def list_ways(
    folder: ModelFolder,
    limits: Mapping[str, Limit],
    instance: Instance,
    others: Mapping[str, Sleeper],
    plan: Plan,
) -> dict[str, Callable[[], Sample]]:
    """Name -> measurement; `limits` are LIMIT and LIMIT_FP32, `others` are servers that sleep meanwhile."""
    network, threads, seconds = make_plain_network(folder), plan.threads, plan.seconds
    page = OriginalPage(network)
    ways: dict[str, Callable[[], Sample]] = {
        name: partial(run_limit, limit, plan.slices, seconds) for name, limit in limits.items()
    }
    engine = choose_engine(folder, "cpu", threads, read_engine(instance))
    ways[NETWORK] = partial(run_engine, engine, folder.contract.size, 16, seconds)
    ways[FORWARD] = partial(run_forward, network, 16, threads, seconds)
    for name, options in OPTIONS.items():
        ways[name_served(name, BUSY)] = partial(run_served, instance, plan.slices, options, BUSY, seconds)
    for name, server in others.items():
        ways[name] = partial(server.measure, BUSY, seconds)
    ways[PAGE] = partial(page.run, plan.slices, threads, seconds, heatmap=False)
    ways[PAGE_CAM] = partial(page.run, plan.slices, threads, seconds, heatmap=True)
    return ways


def measure_lone(limit: Limit, instance: Instance, plan: Plan) -> dict[str, list[Sample]]:
    """What a lone caller waits for a slice, in-process and served, beside each other and often.

    What sets the two apart is small against what the machine does between two turns, and more so between far ones.
    """
    ways: dict[str, Callable[[], Sample]] = {
        SINGLE: partial(run_limit, Limit(limit.pipeline, 1, limit.threads), plan.slices, plan.seconds / 2),
        ALONE: partial(run_served, instance, plan.slices, {}, 1, plan.seconds),
    }
    return measure_in_turn("One caller", ways, 1 if plan.quick else LONE_ROUNDS, warm_up=False)


def read_engine(instance: Instance) -> str:
    """The engine that the server chose."""
    return str(Client(instance).contract()["engine"])
