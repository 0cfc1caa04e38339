"""The end of a server: its whole process group, by force where it must be."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress

from lungct_tools.server.instance import Instance
from lungct_tools.server.polling import poll


def group_is_alive(pid: int) -> bool:
    """Whether any process of the group that `pid` leads is left."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def end(instance: Instance, grace_s: float = 20) -> bool:
    """End the whole process group, by force after `grace_s`. True once it is gone."""
    if not instance.pid:  # none was started; signals to group 0 would reach our own
        return True
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.killpg(instance.pid, number)
        for _ in poll(patience_s, 0.05):
            with suppress(ChildProcessError):
                os.waitpid(-instance.pid, os.WNOHANG)
            if not group_is_alive(instance.pid):
                return True
    return False


def stop(instance: Instance) -> bool:
    """End the server; its tokens and sockets go with it. True once it is gone."""
    ended = end(instance)
    instance.keys.unlink(missing_ok=True)
    shutil.rmtree(instance.temp, ignore_errors=True)
    (instance.run / "instance.json").unlink(missing_ok=True)
    return ended
