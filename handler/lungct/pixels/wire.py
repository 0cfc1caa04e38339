"""What the parent and its readers say to each other: two lengths, a JSON head, a blob. Nothing in it is executed."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

CPU_SECONDS = 1.5  # a file may cost a reader; 2048 x 2048 in JPEG 2000, more than any scanner makes, takes 0.8
GZIP = "gzip"  # the kind of a job that is no file to decode but a body to inflate
HU = "hu"  # the kind of a job that wants the HU of a DICOM file and no gray

_LENGTHS = struct.Struct(">II")


def send(peer: socket.socket, head: Mapping[str, Any], blob: bytes) -> None:
    """Send one message; OSError when the other end is gone."""
    text = json.dumps(head).encode("ascii")
    peer.sendall(_LENGTHS.pack(len(text), len(blob)) + text)
    peer.sendall(blob)


def receive(peer: socket.socket) -> tuple[dict[str, Any], bytearray]:
    """Wait for one message; EOFError or OSError when the other end is gone."""
    head_length, blob_length = _LENGTHS.unpack(_read(peer, _LENGTHS.size))
    return json.loads(_read(peer, head_length)), _read(peer, blob_length)


def _read(peer: socket.socket, length: int) -> bytearray:
    blob = bytearray(length)
    view = memoryview(blob)
    while view:
        count = peer.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return blob
