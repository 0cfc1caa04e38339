"""A folder that is looked at again and again: what is new is scored once it stands still."""

from __future__ import annotations

import time
from collections.abc import Iterator

from lungct_tools.folder.source import Entry, Source

EVERY_S = 5.0
SETTLE_S = 2.0  # a file that changed less long ago may still be written to


class Settled:
    """The entries of a source that are not being written to now."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.read, self.stamp = source.read, source.stamp

    def entries(self) -> Iterator[Entry]:
        for entry in self._source.entries():
            stamp = self.stamp(entry)
            changed_s = int(stamp.split(".")[2]) / 1e9 if stamp else 0.0
            if abs(time.time() - changed_s) >= SETTLE_S:  # abs: the clock of a file server may be ahead of ours
                yield entry
