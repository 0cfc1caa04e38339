"""`lungct pacs listen` as an operator would start it, for the tests."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lungct_tools import ROOT
from lungct_tools.commandline import compose


@dataclass
class Listening:
    """A `lungct pacs listen` that runs."""

    process: subprocess.Popen[str]
    port: int
    spool: Path

    @property
    def peer(self) -> tuple[str, str, str]:
        return ("-aec", "LUNGCT", "127.0.0.1")

    def journal(self) -> list[dict]:
        path = self.spool / "journal.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def events(self, name: str) -> list[dict]:
        return [line for line in self.journal() if line["event"] == name]

    def send(self, *files: Path, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """dcmtk's storescu, one association for all."""
        command = ["storescu", *options, *self.peer, str(self.port), *map(str, files)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def listening(run: Path, spool: Path, *options: str) -> Iterator[Listening]:
    """`listen` on a free port until the block ends, by SIGTERM.

    A series ends after three seconds without a slice: longer than a busy machine pauses within an association.
    """
    command = [*compose("pacs"), "listen", "--run", str(run), "--spool", str(spool)]
    arguments = ["--port", "0", "--quiet", "3", *options]
    with subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert "listens at" in line, line
            yield Listening(process, int(line.split(". ")[0].rpartition(":")[2]), spool)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) in (0, -signal.SIGKILL)
