"""How long it takes until all is as before: the gateway says ready, and every worker is READY."""

import threading
import time

from lungct_tools.server.health import UNREADY

PAUSE_S = 0.1


class Readiness:
    """Asks `is_ready` again and again while the context lasts."""

    def __init__(self, is_ready):
        self.checks = []  # (monotonic seconds at which it was asked, answer)
        self._is_ready = is_ready
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self):
        while not self._ended.wait(PAUSE_S):
            asked = time.monotonic()
            try:
                ready = self._is_ready()
            except UNREADY:
                ready = False
            self.checks.append((asked, ready))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def count_recovery(self, broken):
        """Seconds from `broken` until the first yes after the last no; None if it was ready all the time."""
        last = max((asked for asked, ready in self.checks if not ready and asked > broken), default=None)
        if last is None:
            return None
        return min((asked for asked, ready in self.checks if ready and asked > last), default=float("inf")) - broken
