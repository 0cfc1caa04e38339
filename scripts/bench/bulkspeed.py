"""How fast `lungct bulk run` is beside the pipeline alone and beside `lungct score`, on the same files in one run.

    python -P -m lungct_tools.bench.bulkspeed --files 500 --repeats 6

Each way in turn, in an order that changes. What a command takes for its start and its end is what it takes for a few
files, and counts in no rate. The server that `lungct score` asks is idle while the others run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from lungct.settings import count_cores
from lungct_tools.bench.bulk import KINDS, find_limit, link_files, run_all
from lungct_tools.bench.estimate import estimate, estimate_ratio, measure_in_turn
from lungct_tools.bench.servers import serve
from lungct_tools.commandline import compose, make_parser, positive
from lungct_tools.documents.markdown import tabulate

FEW = 32  # files, of which a command's start and end are told
ALONE, RUN, SCORE = "pipeline alone", "bulk run", "score"


def rate(make_command: Callable[[str], Sequence[str]], files: int) -> float:
    """Files/s of a command for what lies under a name, "few" or "all", without its start."""
    few, every = (run_all([make_command(name)]).wall_s for name in ("few", "all"))
    return (files - FEW) / (every - few)


def compare(kind: str, bodies: Sequence[bytes], files: int, repeats: int, folder: Path) -> list[str]:
    """A row: the rate of each way, and what `run` reaches of the others."""
    numbers = count()
    for name, some in (("few", FEW), ("all", files)):
        link_files(folder / kind / name, bodies, some)
        run_all([compose("bulk", "list", folder / kind / name, folder / f"{kind}-{name}.manifest")])

    def run(name: str) -> list[str]:
        return compose("bulk", "run", folder / f"{kind}-{name}.manifest", folder / f"{kind}-{next(numbers)}")

    def score(name: str) -> list[str]:
        out = folder / f"{kind}-{next(numbers)}"
        return compose("score", folder / kind / name, out, "--run", folder / "server", "--format", "jsonl")

    alone = find_limit(bodies, count_cores())
    ways = {ALONE: lambda: alone(10)["rate"], RUN: lambda: rate(run, files), SCORE: lambda: rate(score, files)}
    found = measure_in_turn(kind, ways, repeats, warm_up=False)
    ratios = [estimate_ratio(found[RUN], found[other]).show(2) for other in (ALONE, SCORE)]
    return [kind, *(estimate(found[name]).show(1) for name in ways), *ratios]


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument(
        "--files", type=positive, default=500, help=f"of each kind, more than {FEW} (default %(default)s)"
    )
    parser.add_argument("--repeats", type=positive, default=6, help="of each way (default %(default)s)")
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=tuple(KINDS))
    args = parser.parse_args()
    if args.files <= FEW:
        parser.error(f"--files must be more than {FEW}.")
    header = ("kind", *(f"{name}, images/s" for name in (ALONE, RUN, SCORE)), f"{RUN} of {ALONE}", f"{RUN} of {SCORE}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with serve(folder / "server", {}):
            rows = [compare(kind, KINDS[kind](), args.files, args.repeats, folder) for kind in args.kinds]
    print(tabulate(header, rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
