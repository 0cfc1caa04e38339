"""How fast `lungct score` goes through a folder."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from lungct_tools.bench.estimate import Sample
from lungct_tools.bench.rates import BUSY
from lungct_tools.bench.sleeper import Sleeper
from lungct_tools.commandline import compose


def score_folder(folder: Path, count: int, run: Path, server: Sleeper) -> Sample:
    """Files/s of a whole command, its start and its tables included, BUSY requests at once; one error counts as all."""
    with tempfile.TemporaryDirectory() as out, server.awake():
        command = compose(
            "score", folder, Path(out) / "scores", "--run", run, "--format", "jsonl", "--concurrency", BUSY
        )
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=False)
        seconds = time.perf_counter() - started
    return Sample(count / seconds, errors=count if done.returncode else 0)
