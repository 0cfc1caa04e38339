"""The process that forks readers, and the readers themselves: `python -m lungct.pixels.nursery`, started by `reader`.

It imports pydicom and the codecs once; a fork of it is ready in milliseconds and shares that memory.
"""

from __future__ import annotations

import gc
import gzip
import io
import os
import resource
import signal
import socket
import sys
import traceback
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # pydicom would load it, to fetch example files: 6 MB and a tenth of a second
    sys.modules["requests"] = None  # type: ignore[assignment]

from PIL import Image

from lungct.errors import LungCTError
from lungct.pixels import dicom, raster
from lungct.pixels.rendering import Rendering, Terms
from lungct.pixels.wire import CPU_SECONDS, GZIP, HU, receive, send
from lungct.settings import Settings
from lungct.window import Window

WALL_SECONDS = 6.0  # for a codec that waits instead of working
MEMORY = 512 * 2**20  # bytes a file may add to what the process needs anyway


def main() -> None:
    """Fork a reader for every socket that arrives on stdin, until that closes."""
    control = socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open() as nothing:  # readers inherit what stands here; this socket must end with this process
        os.dup2(nothing.fileno(), 0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for readers
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold pixels
    Image.MAX_IMAGE_PIXELS = None  # our limit is lower, and refuses in our words
    gc.freeze()  # the collector would else touch, and so copy, every shared page
    while sockets := socket.recv_fds(control, 1, 1)[1]:
        with socket.socket(fileno=sockets[0]) as peer:
            try:
                child = os.fork()
            except OSError as fault:  # no room for another process: of the machine, not of the file
                with suppress(OSError):
                    send(peer, {"fault": f"no reader could be forked, error {fault.errno}"}, b"")
                continue
            if child:
                continue
            control.close()
            limit_memory()
            with suppress(EOFError, OSError):  # the parent is gone, or wants this reader no more
                serve(peer)
            os._exit(0)


def serve(peer: socket.socket) -> None:
    """Answer jobs until the other end closes. The timers kill the process where it stands, C code included."""
    while True:
        head, body = receive(peer)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
        answer, blob = answer_job(head, bytes(body))
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        send(peer, answer, blob)


def answer_job(head: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """Head and blob of the answer to one job: pixels, the client's error, or the place of a fault of ours."""
    try:
        if head["kind"] == GZIP:
            return {}, inflate(body, head["max_bytes"])
        if head["kind"] == HU:
            plane = dicom.read_plane(body, read_terms(head))
            return {"shape": plane.hu.shape, "aspect": plane.aspect}, plane.hu.tobytes()
        found = decode(body, head["kind"], read_terms(head))
    except LungCTError as error:
        return {"error": error.code, "message": error.message}, b""
    except Exception as fault:  # noqa: BLE001 - the parent reports it; its message could quote the file
        places = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(fault.__traceback__)]
        return {"fault": f"{type(fault).__name__} in {' > '.join(places)}"}, b""
    return {**found._asdict(), "pixels": found.pixels.shape}, found.pixels.tobytes()


def read_terms(head: dict[str, Any]) -> Terms:
    """The terms of a job as `reader` sent them."""
    window = Window(*head["window"]) if isinstance(head["window"], list) else head["window"]
    return Terms(window, head["frame"], Window(*head["default"]), Settings(**head["settings"]))


def inflate(body: bytes, max_bytes: int) -> bytes:
    """What a gzip stream holds; LungCTError corrupt_image where it is damaged, too_many_bytes for more than that."""
    try:
        with gzip.open(io.BytesIO(body)) as stream:
            held = stream.read(max_bytes + 1)
    except (EOFError, OSError, zlib.error):
        raise LungCTError(
            "corrupt_image", "The body is no whole gzip stream, as its Content-Encoding says; send it again."
        ) from None
    if len(held) > max_bytes:
        raise LungCTError("too_many_bytes", f"The body inflates to more than {max_bytes} bytes; send one slice.")
    return held


def decode(body: bytes, kind: str, terms: Terms) -> Rendering:
    """Decode one file of a known format in this process."""
    return dicom.render(body, terms) if kind == "DICOM" else raster.render(body, kind, terms)


def limit_memory() -> None:
    """Cap this process at the address space it has now plus `MEMORY`."""
    with suppress(OSError, ValueError):  # systems without /proc
        ceiling = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))


if __name__ == "__main__":
    main()
