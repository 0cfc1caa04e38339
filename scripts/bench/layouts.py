"""Workers x threads of the peers: each gets the better of one worker with all cores and one worker a core."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

from lungct_tools.bench.estimate import Sample, estimate, measure_in_turn
from lungct_tools.bench.rates import BUSY, Plan
from lungct_tools.bench.sleeper import Sleeper

ROUNDS = 2  # after a warm-up


class Layout(NamedTuple):
    """How a server shares the cores out."""

    workers: int
    threads: int

    def __str__(self) -> str:
        return f"{self.workers} x {self.threads}"


def list_layouts(plan: Plan) -> list[Layout]:
    """Those that are tried; a quick run chooses nothing."""
    whole, split = Layout(1, plan.threads), Layout(plan.threads, 1)
    return [whole] if plan.quick or split == whole else [whole, split]


@contextmanager
def serve_better(
    name: str, serve: Callable[[Layout], AbstractContextManager[Sleeper]], plan: Plan
) -> Iterator[tuple[Sleeper, dict[str, list[Sample]]]]:
    """The peer in the layout that answers most; what each reached in rounds of their own. The others are stopped."""
    with ExitStack() as stack:
        stacks = {str(layout): stack.enter_context(ExitStack()) for layout in list_layouts(plan)}
        servers = {str(layout): stacks[str(layout)].enter_context(serve(layout)) for layout in list_layouts(plan)}
        ways = {layout: partial(server.measure, BUSY, plan.seconds) for layout, server in servers.items()}
        rounds, warm_up = (1, False) if plan.quick else (ROUNDS, True)
        found = measure_in_turn(f"{name}, workers x threads", ways, rounds, warm_up)
        best = choose_fastest({layout: [sample.rate for sample in samples] for layout, samples in found.items()})
        for layout, each in stacks.items():
            if layout != best:
                each.close()
        yield servers[best], found


def choose_fastest(rates: Mapping[str, Sequence[float]]) -> str:
    """The name with the highest mean rate."""
    return max(rates, key=lambda name: estimate(rates[name]).mean)
