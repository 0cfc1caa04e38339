"""Measure the server, its in-process limit and its peers in one run on the same slices.

    make bench                              # about 27 minutes; writes docs/benchmark* and the table of performance.md
    make bench ARGS=--quick                 # some minutes, results in .run/bench only
    make bench ARGS='--slices DIR'          # on JPEG files of your own
    make bench ARGS=--cold                  # cold start alone
    make bench ARGS=--fronts                # TorchServe beside the front without it, alone: about two minutes
    make bench ARGS=--formats               # DICOM, overlays, memory, starts beside version 1.4, alone: 15 minutes
    lungct bench --render docs/benchmark.json

Needs wrk (apt-get install wrk), 10 GB of memory and a machine that does nothing else. Rates depend on the machine:
quote ratios of one run. The engine is the one that the server chooses; every way takes its turn in each repeat, in an
order that changes from one to the next. A target is met or missed where the whole interval says so, else it is open.
A run in which any request failed writes into .run/bench only and ends with 1.
"""

from __future__ import annotations

import json
import signal
import statistics
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from lungct_tools import ROOT
from lungct_tools.commandline import make_parser


def parse_arguments() -> Namespace:
    parser = make_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="one short repeat; docs stay as they are")
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement (default %(default)s)")
    parser.add_argument("--repeats", type=int, help="after a warm-up round (default 6, with --formats 5)")
    parser.add_argument("--slices", type=Path, metavar="DIR", help="JPEG files instead of synthetic slices")
    parser.add_argument("--cold", action="store_true", help="only the time to the first good reply")
    parser.add_argument("--fronts", action="store_true", help="only what TorchServe and the other front cost")
    parser.add_argument("--formats", action="store_true", help="only formats, overlays, memory and starts")
    parser.add_argument("--render", type=Path, metavar="JSON", help="write page and pictures of an earlier result")
    parser.add_argument("--out", type=Path, help="folder of the results (default: docs, with --quick .run/bench)")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    # After the arguments: torch and what draws take seconds to import, which --help need not wait for.
    from lungct.settings import count_cores
    from lungct_tools.bench import coldstart
    from lungct_tools.bench.formatpage import STEM, publish_formats, write_formats
    from lungct_tools.bench.formats import list_failures, measure_formats
    from lungct_tools.bench.fronts import HEADER, list_fronts, measure_fronts
    from lungct_tools.bench.load import WRK_MISSING, find_wrk
    from lungct_tools.bench.measurement import list_errors, measure
    from lungct_tools.bench.rates import Plan
    from lungct_tools.bench.report import publish, write_summary
    from lungct_tools.bench.slices import draw_slices, read_slices
    from lungct_tools.documents.markdown import tabulate

    public = args.out is None and not args.quick
    aside = ROOT / ".run" / "bench"
    out = args.out or (aside if args.quick else ROOT / "docs")
    page = ROOT / "docs" / "performance.md" if public else None
    write, show = (publish_formats, write_formats) if args.formats else (publish, write_summary)
    if args.render:
        write(json.loads(args.render.read_text()), out, page)
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
    seconds, repeats = (1, 1) if args.quick else (args.seconds, args.repeats or (5 if args.formats else 6))
    with tempfile.TemporaryDirectory(prefix="lung-ct-bench-") as scratch:
        plan = Plan(slices, seconds, repeats, count_cores(), Path(scratch), args.quick)
        if args.cold:
            print(json.dumps(coldstart.measure_starts(plan.scratch / "cold", slices[0], repeats), indent=1))
            return 0
        if args.fronts:
            print(tabulate(HEADER, list_fronts(measure_fronts(plan))))
            return 0
        # JSON turns whole numbers that are keys into text: read it back, so that a result is one and the same thing
        result = json.loads(json.dumps(measure_formats(plan) if args.formats else measure(plan, source)))
    if (errors := list_failures(result) if args.formats else list_errors(result)) and public:
        out, page = aside, None
    write(result, out, page)
    print(show(result))
    print(f"\nbenchmark: the whole result is in {out / (f'{STEM}.json' if args.formats else 'benchmark.md')}")
    for line in errors:
        print(f"benchmark: {line}", file=sys.stderr)
    return 1 if errors else 0
