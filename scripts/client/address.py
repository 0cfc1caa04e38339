"""Where a server is: on this machine, told by its run folder, or behind a gateway on another."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lungct_client.errors import ServerError
from lungct_client.headers import check_key

DEFAULT_PORTS = (8080, 8081, 8082, 7070, 7071)
RECORD = "instance.json"


def default_ports() -> tuple[int, ...]:
    """Five ports from LUNG_CT_PORTS, else TorchServe's own; ServerError for what are no five different ports."""
    words = os.environ.get("LUNG_CT_PORTS", "").split()
    ports = tuple(int(word) for word in words if word.isascii() and word.isdecimal() and 0 < int(word) < 65536)
    if len({*ports}) != len(words) or len(ports) not in (0, len(DEFAULT_PORTS)):
        raise ServerError("LUNG_CT_PORTS must be five different ports, as in 8080 8081 8082 7070 7071.")
    return ports or DEFAULT_PORTS


def read_plain(path: Path) -> bytes:
    """A file of a run folder, which may be somebody else's: OSError for a link, nothing of a pipe, which would wait."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # Windows has neither
    with os.fdopen(os.open(path, flags), "rb") as file:
        return file.read() or b""


@dataclass(frozen=True)
class Local:
    """A server on this machine.

    Attributes:
        run: folder of its run files, with its tokens.
        ports: inference, management, metrics, gRPC inference, gRPC management; all on loopback.
    """

    run: Path
    ports: tuple[int, ...] = DEFAULT_PORTS

    def url(self, api: str) -> str:
        """Base address of the "inference", "management" or "metrics" API."""
        return f"http://127.0.0.1:{self.ports[('inference', 'management', 'metrics').index(api)]}"

    @property
    def keys(self) -> Path:
        return self.run / "key_file.json"

    @classmethod
    def read(cls, run: Path) -> Local:
        """The server recorded in `run`, or one on the default ports if none was started; ServerError if damaged."""
        document = read_record(run)
        return cls(run, default_ports() if document is None else tuple(document["ports"]))


def read_record(run: Path) -> dict[str, Any] | None:
    """What the server that was started from `run` is recorded with; None if none was.

    Raises:
        ServerError: the record is damaged, or somebody else's.
    """
    try:
        document = json.loads(read_plain(run / RECORD))
        ports = document["ports"]
        if len(ports) == len(DEFAULT_PORTS) and all(type(port) is int and 0 < port < 2**16 for port in ports):
            return dict(document)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ServerError(f"{run / RECORD} cannot be read: {error.strerror}; is it another user's?") from None
    except (ValueError, TypeError, KeyError):
        pass
    raise ServerError(say_damaged(run))


def say_damaged(run: Path) -> str:
    """The sentence about a record that cannot be read."""
    return f"{run / RECORD} is damaged; end what still runs from there, remove that file, then `make serve`."


@dataclass(frozen=True)
class Gateway:
    """A server on another machine, behind its gateway: the inference API only.

    Attributes:
        address: https://host:port.
        key: of this client, from the operator; blanks and line ends around it are dropped, and no repr shows it.
        ca: PEM file of who signed the gateway's certificate, if the system does not trust them.
    """

    address: str
    key: str = field(repr=False)
    ca: Path | None = None

    def __post_init__(self) -> None:
        """HeaderError for what can be no key."""
        object.__setattr__(self, "key", check_key(self.key))  # the way of frozen dataclasses

    def url(self, api: str) -> str:
        if api != "inference":
            raise ServerError(f"A gateway does not open the {api} API; ask the server's own machine.")
        return self.address.rstrip("/")
