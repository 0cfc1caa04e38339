"""How a server comes up: until it is ready, or until it is plain that it will not be."""

from __future__ import annotations

import subprocess
from pathlib import Path

from rich.console import Console

from lungct_tools.server.health import check_ready
from lungct_tools.server.instance import Instance
from lungct_tools.server.jsonlines import read
from lungct_tools.server.polling import poll

AGAIN = "Auto recovery failed again"  # what TorchServe logs of a worker that does not load


def read_log(path: Path) -> list[str]:
    """Lines of a log without the inner ones of tracebacks; none of what is no file, such as a device."""
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    told = ("{time} {level} {logger} - {message}".format(**read(line)) if read(line) else line for line in lines)
    return [line for line in told if not line.partition(" - ")[2].startswith(" ")]


def gives_up(log: Path) -> bool:
    """Whether the log says that workers failed to load, and again: the server would go on trying for minutes."""
    return sum(AGAIN in line for line in read_log(log)) >= 2


def wait_ready(instance: Instance, process: subprocess.Popen[bytes], deadline_s: float) -> str | None:
    """None once ready; the last reason when the deadline passes, the server dies or its model does not load."""
    reason: str | None = "not started"
    with Console(stderr=True).status("serve: starting") as status:
        for _ in poll(deadline_s, 0.05):
            if process.poll() is not None:
                return "the server ended"
            reason = check_ready(instance)
            if reason is None:
                return None
            if gives_up(instance.log):
                return "the model does not load"
            status.update(f"serve: {reason}")
    return reason
