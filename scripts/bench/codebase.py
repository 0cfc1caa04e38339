"""One version of this project's code and how it is run: what is here, and the one that speed is held against."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lungct.settings import list_given_folders
from lungct_tools import ROOT
from lungct_tools.bench.servers import CPU
from lungct_tools.commandline import compose
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.shutdown import stop

COMMIT = "087aed8d4939b90cc5af0afa11acae7bfbe1c9b9"
START = "version 1.4 (commit 087aed8 of 2026-11-27)"


@dataclass(frozen=True)
class Codebase:
    """A checkout whose commands run by this Python and what is installed for it.

    Attributes:
        name: "ours" or "start".
        root: of the checkout; each command's working directory.
        compose: a command of that version and its words -> what to run.
        paths: folders that its modules are imported from, before those of what is installed.
    """

    name: str
    root: Path
    compose: Callable[..., list[str]]
    paths: tuple[Path, ...] = ()

    @property
    def model(self) -> Path:
        """The model folder that it ships."""
        return self.root / "model_store" / "lung_ct"

    def environment(self) -> dict[str, str]:
        """Of its commands."""
        return {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, self.paths), *list_given_folders()])}

    def run(self, command: str, *words: object) -> None:
        """Run one command; CalledProcessError unless it ends with 0."""
        line = self.compose(command, *words)
        subprocess.run(line, cwd=self.root, env=self.environment(), check=True, stdout=subprocess.DEVNULL)

    def pack(self, model: Path, store: Path) -> None:
        """Build the archive of a model folder, with the settings of this version, into `store`."""
        self.run("archive", "--model", model, "--out", store)

    def start(self, run: Path, store: Path) -> Instance:
        """A server on free ports and the CPU that has scored its canary; CalledProcessError where none comes up."""
        self.run("serve", "--run", run, "--store", store, "--set", CPU, "--ports", *find_ports(5))
        return Instance.read(run)

    @contextmanager
    def serve(self, run: Path, store: Path) -> Iterator[Instance]:
        """The same for a while."""
        instance = self.start(run, store)
        try:
            yield instance
        finally:
            stop(instance)


OURS = Codebase("ours", ROOT, compose)


def find_start(place: Path) -> Codebase | None:
    """The code of COMMIT, unpacked into `place` unless it is there; None where no history holds it, as in a tarball."""
    if not place.exists():
        command = ["git", "-C", str(ROOT), "archive", COMMIT]
        try:
            packed = subprocess.run(command, capture_output=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return None
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as folder, tarfile.open(fileobj=io.BytesIO(packed)) as files:
            files.extractall(Path(folder) / "code", filter="data")
            (Path(folder) / "code").rename(place)
    return Codebase("start", place, _compose_start, (place, place / "handler"))


def _compose_start(command: str, *words: object) -> list[str]:
    return [sys.executable, "-P", "-m", f"scripts.{command}", *map(str, words)]
