"""How many pixels a batch may draw as PNG: beside a few of the largest pictures nobody waits for long."""

from __future__ import annotations

import threading

from lungct.errors import LungCTError

BUSY = "The server draws other large pictures now; send the request again in a second, or ask for JPEG or grids."


class Allowance:
    """What is left of a batch's pixels. Encoding a PNG takes most of the time that a large picture costs."""

    def __init__(self, largest: int, threads: int) -> None:
        """Room for one picture of `largest` pixels a thread, and for two at least."""
        self._left = largest * max(2, threads)
        self._lock = threading.Lock()

    def take(self, pixels: int) -> None:
        """Use some of it; LungCTError busy where less is left."""
        with self._lock:
            if pixels > self._left:
                raise LungCTError("busy", BUSY)
            self._left -= pixels
