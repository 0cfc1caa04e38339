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


def default_ports() -> tuple[int, ...]:
    """Five ports from LUNG_CT_PORTS, else TorchServe's own."""
    return tuple(map(int, os.environ.get("LUNG_CT_PORTS", "").split())) or DEFAULT_PORTS


def read_record(run: Path) -> dict[str, Any]:
    """What the server that was started from a run folder wrote of itself; {} where none was.

    Raises:
        ServerError: there is a record, and it is another user's, or damaged.
    """
    path = run / "instance.json"
    try:
        record = dict(json.loads(path.read_text()))
        return {**record, "ports": tuple(map(int, record["ports"]))}
    except FileNotFoundError:
        return {}
    except OSError as error:
        told = f"cannot be read ({error.strerror}): is it another user's server?"
    except (ValueError, TypeError, KeyError):
        told = "is damaged; stop what runs there and remove it."
    raise ServerError(f"{path} {told} --run and LUNG_CT_RUN name another folder.")


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
        """The server recorded in `run`, or one on the default ports if none was started; raises what reading does."""
        return cls(run, read_record(run).get("ports") or default_ports())


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
