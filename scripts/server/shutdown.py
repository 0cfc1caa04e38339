"""The end of a server: its whole process group, by force where it must be, and never another's."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from lungct_client.address import RECORD
from lungct_tools.server.instance import Instance
from lungct_tools.server.polling import poll
from lungct_tools.server.processes import list_members
from lungct_tools.server.runfolder import check_ours, remove_temp


def end(instance: Instance, grace_s: float = 20) -> bool:
    """End the whole process group, by force after `grace_s`. True once it is gone, or where it is not the server's."""
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        if not send(instance, number):
            return True
        for _ in poll(patience_s, 0.05):
            with suppress(ChildProcessError):
                os.waitpid(-instance.pid, os.WNOHANG)
            if not any(list_members(instance.pid)):
                return True
    return False


def send(instance: Instance, number: int) -> bool:
    """Send a signal to the server's whole group; False when there is none any more that is known to be the server's."""
    if not instance.owns_group() or not any(list_members(instance.pid)):
        return False
    with suppress(ProcessLookupError):
        os.killpg(instance.pid, number)
    return True


def stop(instance: Instance) -> bool:
    """End the server; its tokens and sockets go with it. True once it is gone.

    Raises:
        RunFolderError: the run folder is another user's.
    """
    check_ours(instance.run)
    ended = end(instance)
    instance.keys.unlink(missing_ok=True)
    remove_temp(instance.run, instance.temp)
    (instance.run / RECORD).unlink(missing_ok=True)
    return ended
