"""Processes that pass for others of ours: they are there, do nothing, and end when they are told to."""

import subprocess
import sys
from contextlib import contextmanager

IDLE = "import signal; signal.pause()"


@contextmanager
def idle_torchserve():
    """A process, in a group of its own, whose command line is as TorchServe's."""
    with subprocess.Popen([sys.executable, "-c", IDLE, "torchserve"], start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()
