"""One running TorchServe: where its files are, on which ports it listens, who may talk to it."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_PORTS = (8080, 8081, 8082, 7070, 7071)
EXPORTER_PORT = 8083  # of scripts/exporter.py, beside the metrics that TorchServe has itself
SOCKET_PATH_LIMIT = 80  # a Unix socket path holds 107 bytes; TorchServe adds /.ts.sock.9000


@dataclass(frozen=True)
class Instance:
    """The record that `serve` writes into the run folder and every other script reads.

    Attributes:
        run: folder of all run files: tokens, logs, effective settings.
        ports: inference, management, metrics, gRPC inference, gRPC management; all on loopback.
        pid: process group leader of the server.
        temp: private folder of the sockets between TorchServe and its workers.
        options: of scripts/serve.py, to start the same server again.
    """

    run: Path
    ports: tuple[int, ...] = DEFAULT_PORTS
    pid: int = 0
    temp: str = ""
    options: tuple[str, ...] = ()

    def url(self, api: str) -> str:
        """Base address of the "inference", "management" or "metrics" API."""
        return f"http://127.0.0.1:{self.ports[('inference', 'management', 'metrics').index(api)]}"

    @property
    def keys(self) -> Path:
        return self.run / "key_file.json"

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
            return cls(run)
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


def default_ports() -> tuple[int, ...]:
    """Five ports from LUNG_CT_PORTS, else TorchServe's own."""
    return tuple(map(int, os.environ.get("LUNG_CT_PORTS", "").split())) or DEFAULT_PORTS


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


def add_run_option(parser: argparse.ArgumentParser) -> None:
    """The option that every script has: which server it speaks of."""
    parser.add_argument(
        "--run",
        type=Path,
        default=Path(os.environ.get("LUNG_CT_RUN", ROOT / ".run")),
        help="folder of the server's run files (default: $LUNG_CT_RUN or %(default)s)",
    )


def positive(text: str) -> int:
    """A number of 1 or more, for options."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def window(text: str) -> str:
    """A window that the server would take, for options."""
    from lungct.errors import LungCTError
    from lungct.exchange.request import parse  # brings OpenCV, which probes and other scripts can do without

    try:
        parse({"body": b"?"}, {"X-Window": text}, ())
    except LungCTError as error:
        raise argparse.ArgumentTypeError(error.message.removeprefix("X-Window ")) from None
    return text


def add_scoring_options(parser: argparse.ArgumentParser, heatmap: str) -> None:
    """The options of all scripts that score files; `heatmap` is the help of that one."""
    kinds = ("none", "abnormal", "always")
    parser.add_argument("--heatmap", choices=kinds, default="none", help=f"{heatmap} (default %(default)s)")
    parser.add_argument(
        "--window",
        type=window,
        metavar="CENTRE,WIDTH",
        help="in HU, for DICOM and input of more than 8 bits; 8-bit pictures are refused with a window. "
        "The word file takes the one that a DICOM file proposes",
    )
    parser.add_argument("--concurrency", type=positive, default=16, help="requests in flight (default %(default)s)")


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that shows the script's docstring, examples and all, and takes --window -600,1500 for what it is."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser._negative_number_matcher = re.compile(r"-\.?\d")  # Python 3.14's own; to those before it is an option
    return parser
