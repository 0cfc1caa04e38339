"""One running TorchServe: where its files are, on which ports it listens, who may talk to it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lungct_client import Local
from lungct_client.address import default_ports

EXPORTER_PORT = 8083  # of lungct exporter, beside the metrics that TorchServe has itself
SOCKET_PATH_LIMIT = 80  # a Unix socket path holds 107 bytes; TorchServe adds /.ts.sock.9000


@dataclass(frozen=True)
class Instance(Local):
    """The record that `serve` writes into the run folder and every other command reads.

    Attributes:
        pid: process group leader of the server.
        temp: private folder of the sockets between TorchServe and its workers.
        options: of lungct serve, to start the same server again.
    """

    pid: int = 0
    temp: str = ""
    options: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        return self.run / "server.log"

    @property
    def store(self) -> Path:
        """Folder of the archive that a recorded server was started from."""
        return Path(self.options[self.options.index("--store") + 1])

    @property
    def canary(self) -> Path:
        return self.run / "canary.png"

    @property
    def running(self) -> bool:
        """Whether a process of the recorded group is TorchServe: its launcher, or Java where that alone was killed."""
        marks = (b"torchserve", b"-Dmodel_server_home")
        return any(mark in command for command in read_commands(self.pid) for mark in marks)

    def write(self) -> None:
        document = {**asdict(self), "run": str(self.run)}
        write_whole(self.run / "instance.json", json.dumps(document))

    @classmethod
    def read(cls, run: Path) -> Instance:
        """The instance recorded in `run`, or one with default ports and no process if none was started."""
        try:
            document: dict[str, Any] = json.loads((run / "instance.json").read_text())
        except FileNotFoundError:
            return cls(run, default_ports())
        options = tuple(document.get("options", ()))
        return cls(run, tuple(document["ports"]), document["pid"], document["temp"], options)


def read_commands(group: int) -> Iterator[bytes]:
    """Command lines of a process group: of its leader, then of the others; none of group 0, which would be ours."""
    if not group:
        return
    with suppress(OSError):
        yield Path(f"/proc/{group}/cmdline").read_bytes()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile
            if os.getpgid(int(folder.name)) == group:
                yield (folder / "cmdline").read_bytes()


def write_whole(path: Path, text: str, mode: int = 0o666) -> None:
    """Write a file in one stroke: who reads it meanwhile finds the old text or the new one. `mode` as in open(2)."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.touch(mode=mode)
    fresh.write_text(text)
    fresh.replace(path)


def find_ports(count: int) -> list[int]:
    """Ports that are free on loopback, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def make_temp(run: Path, left: str = "") -> str:
    """A private, empty folder for sockets and the unpacked model, in `run` if its path fits a Unix socket.

    `left`: that of the last server, to be removed. One that was killed left its model there, and the next one unpacks
    another: a few of them fill a container's memory.
    """
    inside = run / "tmp"
    shutil.rmtree(left or inside, ignore_errors=True)
    if len(str(inside)) > SOCKET_PATH_LIMIT:
        return tempfile.mkdtemp(prefix="lung-ct-")
    inside.mkdir(mode=0o700, exist_ok=True)
    return str(inside)
