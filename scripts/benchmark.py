"""Measure the server, its in-process limit and its peers in one run on the same slices.

    make bench                              # about 21 minutes; writes README's table and docs/benchmark*
    make bench ARGS=--quick                 # some minutes, results in .run/bench only
    make bench ARGS='--slices DIR'          # on JPEG files of your own
    make bench ARGS=--cold                  # cold start alone
    python scripts/benchmark.py --render docs/benchmark.json

Needs wrk (apt-get install wrk), 10 GB of memory and a machine that does nothing else. Rates depend on the machine:
quote ratios of one run. The engine is the one that the server chooses; every way takes its turn in each repeat, in an
order that changes from one to the next. A target is met or missed where the whole interval says so, else it is open.
"""

from __future__ import annotations

import json
import platform
import signal
import statistics
import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
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
from scripts.bench.charts import draw_charts
from scripts.bench.estimate import Sample, estimate, measure_in_turn
from scripts.bench.layouts import serve_better
from scripts.bench.load import WRK_MISSING, find_wrk, run_open
from scripts.bench.peers import serve_empty, serve_litserve, serve_stock
from scripts.bench.rates import FP32, LITSERVE, STOCK, Plan
from scripts.bench.report import fill_readme, write_page, write_readme_part
from scripts.bench.servers import aim, serve
from scripts.bench.sleeper import asleep
from scripts.bench.slices import draw_slices, read_slices
from scripts.bench.targets import CLASSES
from scripts.instance import ROOT, Instance, make_parser

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


def publish(result: Mapping[str, Any], out: Path, readme: Path | None) -> None:
    """Write page, pictures and JSON into `out`, and the table into `readme`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "benchmark.json").write_text(json.dumps(result, indent=1) + "\n")
    (out / "benchmark.md").write_text(write_page(result))
    draw_charts(result, out)
    if readme:
        readme.write_text(fill_readme(readme.read_text(), write_readme_part(result)))


def parse_arguments() -> Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="one short repeat; README and docs stay as they are")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=8, help="after a warm-up round (default %(default)s)")
    parser.add_argument("--slices", type=Path, metavar="DIR", help="JPEG files instead of synthetic slices")
    parser.add_argument("--cold", action="store_true", help="only the time to the first good reply")
    parser.add_argument("--render", type=Path, metavar="JSON", help="write page and pictures of an earlier result")
    parser.add_argument("--out", type=Path, help="folder of the results (default: docs, with --quick .run/bench)")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    public = args.out is None and not args.quick
    out = args.out or ROOT / (".run/bench" if args.quick else "docs")
    readme = ROOT / "README.md" if public else None
    if args.render:
        publish(json.loads(args.render.read_text()), out, readme)
        return 0
    try:
        slices = read_slices(args.slices) if args.slices else draw_slices()
    except (OSError, ValueError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    if not find_wrk():
        print(f"benchmark: {WRK_MISSING}", file=sys.stderr)
        return 2
    kilobytes = statistics.median(len(each) for each in slices) / 1000
    source = f"{len(slices)} {'given' if args.slices else 'synthetic 512 x 512'} JPEG slices of {kilobytes:.0f} kB"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end with us
    seconds, repeats = (2, 1) if args.quick else (args.seconds, args.repeats)
    with tempfile.TemporaryDirectory(prefix="lung-ct-bench-") as scratch:
        plan = Plan(slices, seconds, repeats, count_cores(), Path(scratch), args.quick)
        if args.cold:
            print(json.dumps(coldstart.measure_starts(plan.scratch / "cold", slices[0], repeats), indent=1))
            return 0
        # JSON turns whole numbers that are keys into text: read it back, so that a result is one and the same thing
        result = json.loads(json.dumps(measure(plan, source)))
    publish(result, out, readme)
    print(write_readme_part(result))
    print(f"\nbenchmark: the whole result is in {out / 'benchmark.md'}")
    return 1 if any(found["errors"] for found in result["rates"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
