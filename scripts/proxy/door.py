"""The gateway as its callers meet it: whether it answers, and until when its certificate is good."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lungct_client.address import read_plain

LISTEN = re.compile(r"listen ([^\s\"]+):(\d+)( ssl)?;")  # not the sockets, whose paths stand in quotes
LONGEST = 2**16  # bytes of an answer: another program may listen there by now
HERE = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 -- of every address, the one to look at


class Door(NamedTuple):
    """Where to knock, and whether TLS is spoken there."""

    host: str
    port: int
    tls: bool = True


@dataclass(frozen=True)
class Sight:
    """What a caller sees now.

    Attributes:
        up: nginx and the supervisor behind it answer, whatever they say of the server.
        expiry: Unix time at which the certificate ends; None where it could not be read, or there is none.
    """

    up: bool = False
    expiry: float | None = None


def find_door(run: Path) -> Door | None:
    """Where the gateway of this run folder listens, or has to: its settings stay when it ends. None if it never ran."""
    with suppress(OSError):
        found = LISTEN.search(read_plain(run / "gateway" / "nginx.conf").decode(errors="replace"))
        if found:
            return Door(HERE.get(found[1], found[1]).strip("[]"), int(found[2]), bool(found[3]))
    return None


def open_connection(door: Door, timeout_s: float) -> http.client.HTTPConnection:
    """A connection that is not made yet."""
    if not door.tls:
        return http.client.HTTPConnection(door.host, door.port, timeout=timeout_s)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # to look at it, not to trust it
    return http.client.HTTPSConnection(door.host, door.port, timeout=timeout_s, context=context)


def look(door: Door, timeout_s: float) -> Sight:
    """Ask for /readyz, for which the gateway need not ask TorchServe; each step may take `timeout_s`."""
    connection = open_connection(door, timeout_s)
    expiry = None
    try:
        connection.connect()
        if door.tls:
            expiry = read_expiry(connection.sock.getpeercert(binary_form=True))
        connection.request("GET", "/readyz")
        told = json.loads(connection.getresponse().read(LONGEST))
        return Sight(isinstance(told, dict) and "ready" in told, expiry)  # nginx's own refusals lack it
    except (OSError, http.client.HTTPException, ValueError, OverflowError):  # the last: no port
        return Sight(expiry=expiry)
    finally:
        connection.close()


def read_expiry(certificate: bytes) -> float | None:
    """Unix time at which a DER certificate ends; None without openssl."""
    command = ["openssl", "x509", "-noout", "-enddate", "-inform", "DER"]
    with suppress(OSError, subprocess.CalledProcessError):
        told = subprocess.run(command, input=certificate, capture_output=True, check=True).stdout.decode()
        return float(ssl.cert_time_to_seconds(told.partition("=")[2].strip()))
    return None
