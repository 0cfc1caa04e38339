"""What formats, overlays, memory and starts cost, beside the version that speed is held against, in one run.

Both versions have the model folder of that version, which both can load: it is code that is compared. Each takes its
turn in every round; its server sleeps, or its process waits, while others are measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from functools import partial
from typing import Any, NamedTuple, TypeVar

from lungct_tools import ROOT
from lungct_tools.bench.bodies import COMPRESSED, DICOM, JPEG, PNG, Bodies, write_all
from lungct_tools.bench.codebase import OURS, START, Codebase, find_start
from lungct_tools.bench.estimate import Sample, estimate, measure_in_turn
from lungct_tools.bench.lifetimes import Lifetime, live
from lungct_tools.bench.measurement import describe_machine, summarise, tell_errors
from lungct_tools.bench.prober import Prober, probe
from lungct_tools.bench.processes import split_cpu
from lungct_tools.bench.rates import BUSY, Plan
from lungct_tools.bench.scoring import score_folder
from lungct_tools.bench.servers import OPTIONS, aim
from lungct_tools.bench.sleeper import Sleeper, asleep
from lungct_tools.server.instance import Instance

Found = TypeVar("Found")
READS = 20  # of one measurement; of the format whose CPU is compared ten times as many: the clock ticks in 10 ms
BATCHES = (4, 8, 16, 32)
LARGE_CALLERS, LARGE_ROUNDS = 16, 3
WIDE_S, LARGE_S = 4, 8  # a batch of such takes seconds itself
FILES, SCORE_S, SCORE_ROUNDS = 2_000, 5, 3
REQUESTS, LIVES, STARTS = 1_000, 3, 4
PIPELINE, NETWORK = "pipeline", "network"
OVERLAY, OVERLAY_PNG, WIDE, LARGE = "JPEG overlay", "PNG overlay", "JPEG of 2048 x 2048", "4k, JPEG overlay"
SCORE = "lungct score"


class Kind(NamedTuple):
    """One kind of request: its files and options, callers, and seconds of a measurement (0: those of the plan)."""

    files: Sequence[bytes]
    options: str
    callers: int = BUSY
    seconds: float = 0


def measure_formats(plan: Plan) -> dict[str, Any]:
    """Everything, as JSON knows it."""
    started = time.perf_counter()
    start = find_start(ROOT / ".run" / "bench" / "start")
    codes = [OURS, start] if start else [OURS]
    bodies, model = Bodies(plan.slices), codes[-1].model
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": describe_machine(),
        "start": START if start else None,
        "repeats": plan.repeats,
        "quick": plan.quick,
        "requests": REQUESTS // 50 if plan.quick else REQUESTS,
        "files": FILES // 50 if plan.quick else FILES,
    }
    with ExitStack() as stack:
        probers = {code.name: stack.enter_context(probe(code, model, plan.threads)) for code in codes}
        result |= {"engine": probers["ours"].ask("engine")["name"], **measure_reading(probers, bodies, plan)}
        result["inprocess"] = measure_inprocess(probers, plan)
    for code in codes:
        code.pack(model, plan.scratch / code.name)
    with ExitStack() as stack:
        servers = {
            code.name: stack.enter_context(code.serve(plan.scratch / f"served-{code.name}", plan.scratch / code.name))
            for code in codes
        }
        sleepers = {
            name: stack.enter_context(asleep(partial(aim, each, bodies.dicoms, {}), each.pid))
            for name, each in servers.items()
        }
        result["served"] = measure_served(servers, bodies, plan)
        with sleepers["ours"].awake():
            result["cpu"] = {
                name: split_cpu(servers["ours"], kind.files, kind.options, kind.callers, kind.seconds or plan.seconds)
                for name, kind in list_kinds(bodies, plan.quick).items()
            }
        result["score"] = measure_score(servers["ours"], sleepers["ours"], bodies, plan, result["files"])
    result["lives"] = measure_lives(codes, bodies, plan, result["requests"])
    result["minutes"] = (time.perf_counter() - started) / 60
    return result


def take_turns(
    title: str, ways: Mapping[tuple[str, str], Callable[[], Found]], repeats: int, warm_up: bool
) -> dict[str, dict[str, list[Found]]]:
    """`measure_in_turn` of ways by what is measured and whose it is."""
    found = measure_in_turn(title, {", ".join(names): way for names, way in ways.items()}, repeats, warm_up)
    nested: dict[str, dict[str, list[Found]]] = {}
    for names in ways:
        nested.setdefault(names[0], {})[names[1]] = found[", ".join(names)]
    return nested


def measure_reading(probers: Mapping[str, Prober], bodies: Bodies, plan: Plan) -> dict[str, Any]:
    """Milliseconds of reading a file of each format, and of its codec alone; which formats nothing here writes."""
    formats: dict[str, Sequence[bytes]] = {JPEG: bodies.jpegs, PNG: bodies.pngs, DICOM: bodies.dicoms}
    missing = {}
    for name in COMPRESSED:
        try:
            formats[name] = bodies.compress(name)
        except RuntimeError as fault:
            missing[name] = str(fault)
    ways: dict[tuple[str, str], Callable[[], dict[str, Any]]] = {}
    for name, files in formats.items():
        folder = plan.scratch / "formats" / name
        write_all(files, folder)
        count = READS // 4 if plan.quick else READS
        for who, prober in probers.items():
            reads = count * 10 if name == DICOM else count
            ways[name, who] = partial(prober.ask, "reading", folder=str(folder), count=reads)
        if name in COMPRESSED:
            ways[name, "codec"] = partial(probers["ours"].ask, "codec", folder=str(folder), count=count)
    found = take_turns("Reading", ways, plan.repeats, warm_up=not plan.quick)
    reading = {
        name: {who: {key: [each[key] for each in answers] for key in answers[0]} for who, answers in by_whom.items()}
        for name, by_whom in found.items()
    }
    return {"reading": reading, "missing": missing}


def measure_inprocess(probers: Mapping[str, Prober], plan: Plan) -> dict[str, Any]:
    """Slices/s of the best batch on all threads, measured again, and of the network alone in such batches."""
    folder = str(plan.scratch / "formats" / JPEG)

    def ask(prober: Prober, job: str, **arguments: Any) -> Sample:
        return Sample(**prober.ask(job, seconds=plan.seconds / 2, **arguments))

    tried = take_turns(
        "In-process, batches",
        {
            (str(batch), who): partial(ask, prober, PIPELINE, folder=folder, batch=batch)
            for who, prober in probers.items()
            for batch in (BATCHES[2:3] if plan.quick else BATCHES)
        },
        plan.repeats, warm_up=not plan.quick,
    )  # fmt: skip
    ways = {}
    best = {who: max(tried, key=lambda batch: estimate([s.rate for s in tried[batch][who]]).mean) for who in probers}
    for who, prober in probers.items():
        ways[PIPELINE, who] = partial(ask, prober, PIPELINE, folder=folder, batch=int(best[who]))
        ways[NETWORK, who] = partial(ask, prober, NETWORK, batch=int(best[who]))
    found = take_turns("In-process", ways, plan.repeats, warm_up=not plan.quick)
    return {"batch": best, **{job: _summarise(by_whom) for job, by_whom in found.items()}}


def list_kinds(bodies: Bodies, quick: bool) -> dict[str, Kind]:
    """What is asked of a server; a quick run leaves all but two out."""
    kinds = {JPEG: Kind(bodies.jpegs, "classes"), DICOM: Kind(bodies.dicoms, "classes")}
    if quick:
        return kinds
    return kinds | {
        OVERLAY: Kind(bodies.jpegs, "classes + JPEG overlay"),
        OVERLAY_PNG: Kind(bodies.jpegs, "classes + PNG overlay"),
        WIDE: Kind(bodies.wide, "classes", seconds=WIDE_S),
        LARGE: Kind(bodies.large[:1], "classes + JPEG overlay", LARGE_CALLERS, LARGE_S),
    }


def measure_served(servers: Mapping[str, Instance], bodies: Bodies, plan: Plan) -> dict[str, Any]:
    """Answers/s of every kind of request; the servers sleep but for their turns."""
    kinds = list_kinds(bodies, plan.quick)

    def serve(kind: Kind, server: Instance) -> Sample:
        sleeper = Sleeper(partial(aim, server, kind.files, OPTIONS[kind.options]), server.pid)
        return sleeper.measure(kind.callers, kind.seconds or plan.seconds)

    ways = {(name, who): partial(serve, kind, each) for name, kind in kinds.items() for who, each in servers.items()}
    small = {names: way for names, way in ways.items() if not kinds[names[0]].seconds}
    found = take_turns("Served", small, plan.repeats, warm_up=not plan.quick)
    large = {names: way for names, way in ways.items() if names not in small}
    found |= take_turns("Large pictures, served", large, LARGE_ROUNDS, warm_up=False)
    return {kind: _summarise(by_whom) for kind, by_whom in found.items()}


def measure_score(server: Instance, sleeper: Sleeper, bodies: Bodies, plan: Plan, count: int) -> dict[str, Any]:
    """Files/s of `lungct score` from its start to its last table, and of the same server asked for classes alone."""
    folder = plan.scratch / "scored"
    bodies.number(count, folder)
    ways: dict[tuple[str, str], Callable[[], Sample]] = {
        (SCORE, "ours"): partial(score_folder, folder, count, server.run, sleeper),
        (DICOM, "ours"): partial(sleeper.measure, BUSY, plan.seconds if plan.quick else SCORE_S),
    }
    found = take_turns("Score", ways, 1 if plan.quick else SCORE_ROUNDS, warm_up=False)
    return {kind: _summarise(by_whom) for kind, by_whom in found.items()}


def measure_lives(codes: Sequence[Codebase], bodies: Bodies, plan: Plan, count: int) -> dict[str, Any]:
    """Of each version what its servers did one after the other; those that only start and come back are more."""

    def run(title: str, requests: int, rounds: int) -> dict[str, list[Lifetime]]:
        ways = {
            code.name: partial(
                live, code, plan.scratch / f"life-{code.name}", plan.scratch / code.name, bodies, requests
            )
            for code in codes
        }
        return measure_in_turn(title, ways, rounds, warm_up=False)

    whole = run("Memory after mixed requests", count, 1 if plan.quick else LIVES)
    short = run("Starts", 0, 0 if plan.quick else STARTS)
    return {
        who: {
            "start_s": [life.start_s for life in (*lives, *short[who])],
            "reload_s": [life.reload_s for life in (*lives, *short[who])],
            "memory_mb": [life.memory_mb for life in lives],
            "errors": sum(life.errors for life in lives),
        }
        for who, lives in whole.items()
    }


def _summarise(by_whom: Mapping[str, Sequence[Sample]]) -> dict[str, Any]:
    return {who: summarise(samples) for who, samples in by_whom.items()}


def list_failures(result: Mapping[str, Any]) -> list[str]:
    """What was not always answered with 200, or not at all: such a run says nothing."""
    inside = {job: result["inprocess"][job] for job in (PIPELINE, NETWORK)}
    said = tell_errors(
        (f"{kind}, {who}", found)
        for group in (result["served"], result["score"], inside)
        for kind, by_whom in group.items()
        for who, found in by_whom.items()
    )
    lives = result["lives"].items()
    return said + [f"errors of the mixed requests, {who}: {found['errors']}" for who, found in lives if found["errors"]]
