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
from lungct_tools.server.shutdown import end, stop

LONGEST_S = 900.0


class Watchdog:
    """Decides when to start the server again, from what readiness says."""

    def __init__(self, patience_s: float, supervised: bool = False) -> None:
        """Args: `patience_s` of not being ready before a restart; doubled each time that a restart did not help.
        Infinite where probes restart it, as under Kubernetes. `supervised`: others start a server that has ended.
        """
        self._patience_s, self._supervised = patience_s, supervised
        self._restarts = 0
        self._since: float | None = None

    def is_due(self, reason: str | None, running: bool, now: float) -> bool:
        """Whether to restart now: at once when the process is gone, else when patience is over.

        Args:
            reason: why the server is not ready; None when it is.
            running: whether TorchServe's process is there.
            now: monotonic seconds.
        """
        if reason is None or math.isinf(self._patience_s):
            self._since, self._restarts = None, 0
            return False
        if self._supervised and not running:
            self._since = None  # others' turn; the one that they start gets its time
            return False
        if self._since is None:
            self._since = now
        gone = not running and self._restarts == 0
        if not gone and now - self._since < min(self._patience_s * 2**self._restarts, LONGEST_S):
            return False
        self._since = now
        self._restarts += 1
        return True


def restart(instance: Instance, supervised: bool, ended: threading.Event) -> None:
    """Stop what is left of the server and start it again as it was started; leaves off when `ended` is set.

    Of a supervised one only the processes are ended: its files may be those of the next by now.
    """
    now = Instance.read(instance.run)  # another process than at first, or none, if it was started again before
    if supervised:
        end(now)
        return
    stop(now)
    command = compose("serve", *instance.options)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if ended.wait(0.1):
            process.terminate()
            process.wait()
