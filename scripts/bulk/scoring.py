"""A shard through the core, part by part, without a pause between them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from lungct_tools.bulk.core import CALLERS
from lungct_tools.bulk.parts import Part, Parts
from lungct_tools.bulk.shard import Shard
from lungct_tools.folder.meter import Meter
from lungct_tools.folder.record import Row
from lungct_tools.folder.scoring import Run, run_ordered


def score_shard(run: Run, parts: Parts, shard: Shard) -> Meter | None:
    """Write every part of a shard that does not stand yet; None when `run.stop` was set before the end.

    Raises:
        BrokenError: the engine broke; the parts before stand.
    """
    with Meter(sum(1 for _ in parts.manifest.read_shard(shard)), run.fleet.tallies, name="bulk") as meter:

        def settle(job: tuple[Part, str]) -> tuple[Part, Row]:
            part, entry = job
            return part, run.settle(entry, {})[1]

        def find_work() -> Iterator[tuple[Part, str]]:
            for part, stands in parts.compare(shard):
                if stands:
                    for _ in part.files:
                        meter.advance(fresh=False)
                else:
                    yield from ((part, parts.manifest.open(each)) for each in part.files)

        scored = run_ordered(settle, find_work(), CALLERS, run.stop)
        for _, found in groupby(scored, key=lambda each: each[0].path):
            part, rows = None, []
            for part, row in found:  # noqa: B007 -- the same for all of them
                rows.append(row)
                meter.advance(refused="error" in row)
            if len(rows) == len(part.files):
                parts.write(part, rows)
    return None if run.stop.is_set() and meter.done < meter.total else meter
