"""One running server: where its files are, on which ports it listens, who may talk to it."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from random import SystemRandom

from lungct_client import Local, ServerError
from lungct_client.address import RECORD, default_ports, read_record, say_damaged
from lungct_tools.server.processes import list_members, read_birth, read_words
from lungct_tools.server.runfolder import write_whole
from lungct_tools.server.seal import NAME, find_seal

EXPORTER_PORT = 8083  # of lungct exporter, beside the metrics that TorchServe has itself
FRONTS = ("torchserve", "asgi")
ASGI = "lungct_tools.server.asgi"  # the module of the front without TorchServe
GIVEN_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")  # first and last of those that the kernel gives
LOWEST_PORT = 20_000  # below it there are many that programs have by custom
# In a command line: TorchServe's launcher, which older versions start, and its Java; the front without it.
MARKS = (b"torchserve", b"-Dmodel_server_home", ASGI.encode())


@dataclass(frozen=True)
class Instance(Local):
    """The record that `serve` writes into the run folder and every other command reads.

    Attributes:
        pid: process group leader of the server.
        birth: when that process began, see `read_birth`; "" in the records of version 1.4 and before.
        temp: private folder of the sockets between TorchServe and its workers.
        options: of lungct serve, to start the same server again.
    """

    pid: int = 0
    birth: str = ""
    temp: str = ""
    options: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        return self.run / "server.log"

    @property
    def settings(self) -> Path:
        """The server's settings, which its processes name in their command lines."""
        return self.run / "config.properties"

    @property
    def store(self) -> Path:
        """Folder of the archive that a recorded server was started from; ServerError where the record is damaged."""
        if store := self._find_option("--store"):
            return Path(store)
        raise ServerError(say_damaged(self.run))

    @property
    def seal(self) -> Path:
        """The file that vouches for that archive."""
        kept = self._find_option("--seal")
        return Path(kept) if kept else find_seal(self.store / NAME)

    @property
    def front(self) -> str:
        """One of `FRONTS`."""
        return self._find_option("--front") or FRONTS[0]

    @property
    def traces(self) -> str:
        """Address of the collector that it sends traces to, "" for none."""
        return self._find_option("--traces")

    def _find_option(self, name: str) -> str:
        """What lungct serve was given as an option; "" for nothing."""
        return next((value for option, value in pairwise(self.options) if option == name), "")

    @property
    def canary(self) -> Path:
        return self.run / "canary.png"

    @property
    def running(self) -> bool:
        """Whether a process of the recorded group is the server: TorchServe or the other front."""
        return self.owns_group() and any(self._is_server(pid) for pid in list_members(self.pid))

    def owns_group(self) -> bool:
        """Whether the recorded group is still this server's, so that it may be sent signals.

        The leader's number may have gone to another process, after a reboot above all: then its birth tells. Where the
        leader has ended and left members, one of them must name this run folder.
        """
        if self.pid <= 0:
            return False
        born = read_birth(self.pid)
        if born and self.birth:
            return born == self.birth
        settings = str(self.settings).encode()
        return any(self._is_server(pid) and settings in read_words(pid) for pid in list_members(self.pid))

    @staticmethod
    def _is_server(pid: int) -> bool:
        return any(mark in word for word in read_words(pid) for mark in MARKS)

    def write(self) -> None:
        document = {**asdict(self), "run": str(self.run)}
        write_whole(self.run / RECORD, json.dumps(document))

    @classmethod
    def read(cls, run: Path) -> Instance:
        """The instance recorded in `run`, or one with default ports and no process if none was started.

        Raises:
            ServerError: the record is damaged.
        """
        document = read_record(run)
        if document is None:
            return cls(run, default_ports())
        pid, birth, temp = document.get("pid"), document.get("birth", ""), document.get("temp")
        options = document.get("options", [])
        texts = [birth, temp, *options] if isinstance(options, list) else [None]
        if type(pid) is not int or pid < 0 or not all(isinstance(text, str) for text in texts):
            raise ServerError(say_damaged(run))
        return cls(run, tuple(document["ports"]), pid, birth, temp, tuple(options))


def find_ports(count: int) -> list[int]:
    """Ports that are free on loopback, all different.

    Rather such as the kernel gives to nobody who asks for any: one of those could be gone before a server that needs
    seconds to start listens at it.
    """
    found: list[socket.socket] = []
    with ExitStack() as stack:
        for port in list_ports():
            with suppress(OSError):  # it is in use
                found += [stack.enter_context(socket.create_server(("127.0.0.1", port)))] if len(found) < count else []
        while len(found) < count:
            found.append(stack.enter_context(socket.create_server(("127.0.0.1", 0))))
        return [each.getsockname()[1] for each in found]


def list_ports() -> list[int]:
    """Some ports by chance below those that the kernel gives; none where it gives them all."""
    with suppress(OSError, ValueError):
        first = int(GIVEN_PORTS.read_text().split(maxsplit=1)[0])
        return SystemRandom().sample(range(LOWEST_PORT, first), 100)
    return []
