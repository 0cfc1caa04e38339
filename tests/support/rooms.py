"""The rooms of the tests, as several processes share them out."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

LONG = (
    "bench",
    "container",
    "proxy",
    "modelling",
    "server",
    "fronts",
    "model",
    "tests",
    "page",
    "pixels",
    "engines",
    "folder",
)


def rank(item: pytest.Item) -> int:
    """Rooms that take long first: what is left at the end is short, so that of two processes none waits long."""
    room = item.path.parent.name
    return LONG.index(room) if room in LONG else len(LONG)


class Rooms(LoadScopeScheduling):
    """A room at a time for each process, as what the tests of a room share takes long to make."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0].rpartition("/")[0]
