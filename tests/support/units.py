"""Units of systemd, started and ended by hand as systemd would: what they say is read from their files."""

import os
import shlex
import signal
import subprocess
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from lungct_tools import ROOT
from lungct_tools.commandline import compose
from tests.support.calls import wait_until

FOLDER = ROOT / "config" / "systemd"
SHARED = FOLDER / "lung-ct-.service.d" / "shared.conf"
COMMAND = "/opt/lungserve/.venv/bin/lungct"


def read_unit(name):
    """Key -> its values of a service, those of the drop-in that all share included; a later one of a key counts."""
    found = {}
    for path in (FOLDER / f"lung-ct-{name}.service", SHARED):
        for line in path.read_text().replace("\\\n", " ").splitlines():
            key, given, value = line.partition("=")
            if given and line[0] not in "#;[":
                found.setdefault(key, []).append(value.strip())
    return found


@dataclass
class Started:
    """A service that runs: what the unit says, its command, and by what all that it starts is known."""

    unit: dict
    process: subprocess.Popen
    invocation: str

    def list_processes(self):
        """What systemd would find in the service's control group: nginx overwrites its environment, Java its parent."""
        found = set()
        with suppress(psutil.NoSuchProcess):
            found |= set(psutil.Process(self.process.pid).children(recursive=True))
        for each in psutil.process_iter():
            with suppress(psutil.Error, ValueError):
                if each.environ().get("INVOCATION_ID") == self.invocation and each.pid != self.process.pid:
                    found.add(each)
        return {each for each in found if is_alive(each)}

    def stop(self):
        """As `systemctl stop` does; what is left when the command has ended, for systemd to kill."""
        family = self.list_processes()
        for command in self.unit.get("ExecStop", ()):
            subprocess.run(translate(command), check=True, timeout=60)
        (kind,) = self.unit["KillMode"]
        told = {"mixed": [], "process": [], "control-group": family, "none": None}[kind]
        if told is not None:
            self.process.send_signal(signal.SIGTERM)
            for each in told:
                with suppress(psutil.NoSuchProcess):  # the first one has just ended it
                    each.send_signal(signal.SIGTERM)
        self.process.wait(float(self.unit["TimeoutStopSec"][0]))
        return {each for each in family | self.list_processes() if is_alive(each)}


def is_alive(process):
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def translate(command, swaps=(), more=()):
    """The words of an Exec line, with this checkout in the place of /opt/lungserve and a test's paths and ports."""
    program, *words = shlex.split(command)
    assert program == COMMAND
    return compose(*(dict(swaps).get(word, word) for word in words), *more)


def start_unit(name, log, answers, swaps=(), more=(), **environment):
    """The service, once it answers. Ended by its caller."""
    unit = read_unit(name)
    (command,) = unit["ExecStart"]
    invocation = uuid.uuid4().hex
    told = {**os.environ, "INVOCATION_ID": invocation, **{key: str(value) for key, value in environment.items()}}
    with Path(log).open("wb") as output:
        process = subprocess.Popen(translate(command, swaps, more), stdout=output, stderr=output, env=told, cwd=ROOT)
    started = Started(unit, process, invocation)

    def comes_up():
        assert process.poll() is None, Path(log).read_text()
        return answers()

    try:
        wait_until(comes_up, 180, f"{name} answers")
    except BaseException:
        process.terminate()
        process.wait(30)
        raise
    return started
