"""A program in a network namespace of its own whose ports can be reached from outside at loopback ports only.

Orthanc listens at all addresses, whatever its configuration says; in here these are its own. As a script this is the
inside: `unshare -n python forwarding.py SOCKET=PORT... PORT=SOCKET... -- COMMAND`, where SOCKET is an absolute path and
what stands first is listened at.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one end closes."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


def join(connect):
    """A handler that joins each connection with one that `connect` makes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await connect()
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    return handle


class Relay:
    """Runs what `start` starts, in a thread, until closed.

    Attributes:
        port: where it listens, if at a port.
    """

    def __init__(self, start: Callable[[], Coroutine[Any, Any, asyncio.Server]]) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(start(), self._loop).result(60)
        address = self._server.sockets[0].getsockname()
        self.port = address[1] if isinstance(address, tuple) else 0

    @classmethod
    def to_socket(cls, path: Path) -> Relay:
        """From a free loopback port to a Unix socket."""
        return cls(lambda: asyncio.start_server(join(lambda: asyncio.open_unix_connection(path)), "127.0.0.1", 0))

    @classmethod
    def to_port(cls, path: Path, port: int) -> Relay:
        """From a Unix socket to a loopback port."""
        path.unlink(missing_ok=True)
        return cls(lambda: asyncio.start_unix_server(join(lambda: asyncio.open_connection("127.0.0.1", port)), path))

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def raise_loopback() -> None:
    """Bring up the namespace's own loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = bytearray(struct.pack("16sH22x", b"lo", 0))
        fcntl.ioctl(handle, SIOCGIFFLAGS, request)
        flags = struct.unpack_from("H", request, 16)[0]
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags | IFF_UP))


async def run_inside(pairs: list[str], command: list[str]) -> int:
    raise_loopback()
    for pair in pairs:
        here, there = pair.split("=")
        if there.isdecimal():
            await asyncio.start_unix_server(join(lambda port=there: asyncio.open_connection("127.0.0.1", port)), here)
        else:
            await asyncio.start_server(join(lambda path=there: asyncio.open_unix_connection(path)), "127.0.0.1", here)
    with subprocess.Popen(command) as program:
        while program.poll() is None:
            await asyncio.sleep(0.1)
        return program.returncode


if __name__ == "__main__":
    cut = sys.argv.index("--")
    sys.exit(asyncio.run(run_inside(sys.argv[1:cut], sys.argv[cut + 1 :])))
