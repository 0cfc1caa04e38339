"""The other end of `probe`: asks the process of one version's code to measure something."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lungct_tools.bench.codebase import Codebase

SCRIPT = Path(__file__).with_name("probe.py")


class Prober:
    """A process that does nothing but what it is asked, by what it reads and writes."""

    def __init__(self, jobs: IO[str], answers: IO[str]) -> None:
        self._jobs, self._answers = jobs, answers

    def ask(self, job: str, **arguments: Any) -> dict[str, Any]:
        """What `probe` answers to a job; RuntimeError where it has ended, of which its own words tell."""
        try:
            print(json.dumps([job, arguments]), file=self._jobs, flush=True)
            return dict(json.loads(self._answers.readline()))
        except (BrokenPipeError, ValueError):
            raise RuntimeError(f"The process that measures {job!r} has ended.") from None


@contextmanager
def probe(code: Codebase, model: Path, threads: int) -> Iterator[Prober]:
    """A process of that version with a model folder loaded; the end of what it is asked is its own."""
    command = [sys.executable, "-P", str(SCRIPT), str(model), str(threads)]
    with subprocess.Popen(
        command, cwd=code.root, env=code.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Prober(process.stdin, process.stdout)
