"""Bring a server back that will not come back by itself.

TorchServe starts a dead worker again, with growing pauses, for maxRetryTimeoutInSec; after that never, while /ping and
the process look alive. A dead TorchServe nobody starts at all, unless it is supervised: in a container, whose engine
starts it again when it has ended, and only then.
"""

from __future__ import annotations

import math
import subprocess
import threading

from lungct_tools.commandline import compose
from lungct_tools.server.instance import Instance
from lungct_tools.server.shutdown import end

LONGEST_S = 900.0  # between two restarts of one that is there and sick
GONE_S, GONE_LONGEST_S = 2.0, 60.0  # of one that is gone: nothing can be lost by trying, and a full disk has room again


class Watchdog:
    """Decides when to start the server again, from what readiness says."""

    def __init__(self, patience_s: float, supervised: bool = False) -> None:
        """Args: `patience_s` of not being ready before a restart; doubled each time that a restart did not help.
        Infinite where probes restart it, as under Kubernetes. `supervised`: others start a server that has ended.
        """
        self._patience_s, self._supervised = patience_s, supervised
        self._restarts = self._starts = 0  # of one that was there, and of one that was gone
        self._since: float | None = None

    def is_due(self, reason: str | None, running: bool, now: float) -> bool:
        """Whether to restart now: when patience is over; at once when the process is gone, and again after seconds.

        Args:
            reason: why the server is not ready; None when it is.
            running: whether TorchServe's process is there.
            now: monotonic seconds.
        """
        if reason is None or math.isinf(self._patience_s):
            self._since, self._restarts, self._starts = None, 0, 0
            return False
        if self._supervised and not running:
            self._since = None  # others' turn; the one that they start gets its time
            return False
        if self._since is None:
            self._since = now
        if now - self._since < self._count_pause(running):
            return False
        self._since = now
        if running:
            self._restarts += 1
        else:
            self._starts += 1
        return True

    def _count_pause(self, running: bool) -> float:
        """Seconds from the last restart, or from the first sign of trouble, to the next restart."""
        if running:
            return min(self._patience_s * 2**self._restarts, LONGEST_S)
        return min(GONE_S * 2 ** (self._starts - 1), GONE_LONGEST_S) if self._starts else 0.0


def restart(instance: Instance, supervised: bool, ended: threading.Event) -> None:
    """End what is left of the server and start it again as it was started; leaves off when `ended` is set.

    Its record stays until the next one's: without it whoever comes after us, if we are killed meanwhile, would not know
    how it was started, and start another one. The files of a supervised one may be those of the next by now.
    """
    end(instance)
    if supervised or not instance.options:
        return
    command = compose("serve", *instance.options)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if ended.wait(0.1):
            process.terminate()
            process.wait()
