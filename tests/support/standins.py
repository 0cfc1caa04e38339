"""Processes that pass for TorchServe, and archives that pass for ours."""

import subprocess
import sys
import zipfile
from contextlib import contextmanager

from lungct_tools import ROOT
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.processes import read_birth, read_words
from lungct_tools.server.seal import NAME, write_seal
from tests.support.calls import wait_until

IDLE = "import signal; signal.pause()"


def has_words(pid):
    """Whether a process that was just started has its own words: for a moment of its start it has none."""
    return IDLE.encode() in read_words(pid)


@contextmanager
def run_stand_in(run, ports=None, **record):
    """A process that passes for the server of a run folder, recorded there."""
    command = [sys.executable, "-c", IDLE, "torchserve"]
    with subprocess.Popen(command, start_new_session=True) as process:
        wait_until(lambda: has_words(process.pid), 60, "it has its words")
        ports = ports or tuple(find_ports(5))
        instance = Instance(run, ports, process.pid, read_birth(process.pid), **record)
        instance.write()
        try:
            yield instance
        finally:
            process.kill()


def make_archive(store, settings=None, **files):
    """A sealed archive of these settings, the shipped ones unless told, and files by name."""
    store.mkdir(exist_ok=True)
    with zipfile.ZipFile(store / NAME, "w") as packed:
        packed.writestr("model-config.yaml", settings or (ROOT / "config" / "model-config.yaml").read_bytes())
        for name, text in files.items():
            packed.writestr(name, text)
    write_seal(store / NAME)
    return store / NAME
