"""A real Orthanc, a real server, and `lungct pacs listen` as an operator would start it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lungct_tools import ROOT
from lungct_tools.commandline import compose
from tests.dicomout.conftest import assess  # noqa: F401 - a fixture
from tests.support.calls import wait_until
from tests.support.orthanc import Orthanc, running


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running(tmp_path_factory.mktemp("orthanc")) as found:
        yield found


@pytest.fixture
def archive(orthanc: Orthanc) -> Orthanc:
    """The same, empty."""
    orthanc.clear()
    return orthanc


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
        return [json.loads(line) for line in (self.spool / "journal.jsonl").read_text().splitlines()]

    def events(self, name: str) -> list[dict]:
        return [line for line in self.journal() if line["event"] == name]

    def send(self, *files: Path, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """dcmtk's storescu, one association for all."""
        command = ["storescu", *options, *self.peer, str(self.port), *map(str, files)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def listening(run: Path, spool: Path, *options: str) -> Iterator[Listening]:
    """`listen` on a free port until the block ends, by SIGTERM."""
    command = [*compose("pacs"), "listen", "--run", str(run), "--spool", str(spool)]
    arguments = ["--port", "0", "--quiet", "1", *options]
    with subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert "listens at" in line, line
            yield Listening(process, int(line.split(". ")[0].rpartition(":")[2]), spool)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) in (0, -signal.SIGKILL)


@pytest.fixture(scope="module")
def listener(server, orthanc, tmp_path_factory) -> Iterator[Listening]:
    """One that sends to Orthanc by STOW-RS."""
    with listening(server.run, tmp_path_factory.mktemp("spool") / "pacs", "--to", orthanc.web) as found:
        yield found


@pytest.fixture
def wait_for() -> Callable[..., None]:
    return lambda condition, what, deadline_s=60: wait_until(condition, deadline_s, what)


def write(folder: Path, files: tuple[bytes, ...]) -> list[Path]:
    """Files on disk, for programs that want them there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.dcm" for number in range(len(files))]
    for path, body in zip(paths, files, strict=True):
        path.write_bytes(body)
    return paths
