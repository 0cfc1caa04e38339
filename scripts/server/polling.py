"""Looking again and again until something has happened or time is up."""

from __future__ import annotations

import time
from collections.abc import Iterator


def poll(seconds: float, every_s: float) -> Iterator[None]:
    """Yield at once, then every `every_s` until `seconds` have passed: at least once, and once at the end."""
    ends = time.monotonic() + seconds
    yield
    while time.monotonic() < ends:
        time.sleep(every_s)
        yield
