"""Untrusted files are decoded in child processes that have a clock, a memory ceiling and nothing to lose.

A codec that crashes or hangs ends its child, never the worker and its batch: the file gets its error, the next one a
fresh child. The parent starts one nursery, which imports pydicom and the codecs (a second) and then forks readers
(milliseconds). Each decoding thread uses one reader at a time, so there are at most as many as threads. All of them
end when the parent does, even if it is killed: their sockets close.
"""

from __future__ import annotations

import atexit
import io
import logging
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lungct.errors import LungCTError
from lungct.pixels.rendering import Acquisition, Plane, Rendering, Terms
from lungct.pixels.wire import CPU_SECONDS, GZIP, HU, receive, send
from lungct.settings import Settings, list_given_folders
from lungct.window import LUNG, Window

logger = logging.getLogger(__name__)

_TOO_SLOW = "The file takes too long to decode, so it is damaged or no single slice; export the slice again."
_ENDED = "the process that forks readers has ended"
_CRASHED = "The file crashed its decoder, so it is damaged; export the slice again."


def read(body: bytes, kind: str, terms: Terms) -> Rendering:
    """Decode one file in a child process.

    Args:
        body: the file.
        kind: its format as `formats.recognise` names it.
        terms: limits, window, frame.

    Raises:
        LungCTError, RuntimeError: see `_ask`.
    """
    head, blob = _ask({"kind": kind, **terms._asdict(), "settings": asdict(terms.settings)}, body)
    window = Window(*head["window"]) if head["window"] else None
    pixels = np.frombuffer(blob, np.uint8).reshape(head["pixels"])
    made = Acquisition(*head["acquisition"])
    return Rendering(pixels, window, head["rule"], tuple(head["warnings"]), made, head["aspect"], head["coloured"])


def read_plane(body: bytes, terms: Terms) -> Plane:
    """The HU of a DICOM file, decoded in a child process. LungCTError, RuntimeError: see `_ask`."""
    head, blob = _ask({"kind": HU, **terms._asdict(), "settings": asdict(terms.settings)}, body)
    return Plane(np.frombuffer(blob, np.int16).reshape(head["shape"]), head["aspect"])


def inflate(body: bytes, max_bytes: int) -> bytes:
    """What a gzip stream (RFC 1952) holds, inflated in a child process.

    Args:
        body: the stream.
        max_bytes: the most it may hold.

    Raises:
        LungCTError: too_many_bytes, corrupt_image; and RuntimeError, see `_ask`.
    """
    return bytes(_ask({"kind": GZIP, "max_bytes": max_bytes}, body)[1])


def _ask(job: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bytearray]:
    """Have a child process do one job; its answer's head and blob.

    Raises:
        LungCTError: what the decoder says of the file, or corrupt_image when it crashed or took too long.
        RuntimeError: the decoder has a bug, of which only the place is told, because messages could quote the file; or
            no decoder can be started.
    """
    try:
        peer, fresh = _idle.pop(), False
    except IndexError:
        peer, fresh = _nursery.fork(), True
    started = time.monotonic()
    try:
        with suppress(ConnectionError):  # what the other end said before it closed is told by `receive`
            send(peer, job, body)
        head, blob = receive(peer)
    except (EOFError, OSError):
        peer.close()
        seconds = time.monotonic() - started
        if not fresh and seconds < CPU_SECONDS:
            return _ask(job, body)  # it may have been dead before; in the end a fresh one judges the file
        if _nursery.ended():
            raise RuntimeError(_ENDED) from None
        logger.warning("A reader ended over a file of kind %s after %.1f s.", job["kind"], seconds)
        raise LungCTError("corrupt_image", _TOO_SLOW if seconds >= CPU_SECONDS else _CRASHED) from None
    except BaseException:  # an interrupted thread must not leave half an answer to the next one
        peer.close()
        raise
    _idle.append(peer)
    if "error" in head:
        raise LungCTError(head["error"], head["message"])
    if "fault" in head:
        logger.error("A decoder failed: %s", head["fault"])
        raise RuntimeError("a decoder failed in a reader")
    return head, blob


def warm() -> None:
    """Start the nursery, so that the first file that needs it does not wait for its imports. Returns at once."""
    _idle.append(_nursery.fork())


def prove() -> None:
    """Read a picture of one pixel; RuntimeError where no reader works, such as for a codec that is not installed."""
    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "BMP")
    try:
        read(stream.getvalue(), "BMP", Terms(None, None, LUNG, Settings()))
    except LungCTError as error:
        raise RuntimeError("No decoder can be started; look at the installed codecs.") from error


@atexit.register
def close() -> None:
    """End the nursery and the idle readers; a later `read` starts new ones."""
    while _idle:
        _idle.pop().close()
    _nursery.close()


def list_import_folders() -> str:
    """PYTHONPATH for the child: the folder of this package, and what the operator set, absolute folders only.

    Not this process's sys.path: under `-c` and `-m` the working directory stands in it.
    """
    return os.pathsep.join([str(Path(__file__).resolve().parents[2]), *list_given_folders()])


class Nursery:
    """The handle on the process that forks readers; started when first needed."""

    # -P: else `-m` puts the working directory first on the import path, and what lies there would run.
    command = (sys.executable, "-P", "-W", "ignore", "-m", "lungct.pixels.nursery")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def ended(self) -> bool:
        """Whether the process does not run, or is about to end: it closes its socket before it can be waited for."""
        if self._process is None or self._control is None or self._process.poll() is not None:
            return True
        watch = select.poll()
        watch.register(self._control, 0)  # a hang-up is told unasked
        return bool(watch.poll(0))

    def fork(self) -> socket.socket:
        """A connection to a new reader; RuntimeError where the process has just ended."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            if self._control is None or self.ended():
                self._control = self._start()
            try:
                socket.send_fds(self._control, [b"."], [theirs.fileno()])
            except OSError:
                raise RuntimeError(_ENDED) from None
        return ours

    def close(self) -> None:
        """End the process."""
        if self._process is None or self._control is None:
            return
        self._control.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = self._control = None

    def _start(self) -> socket.socket:
        # One thread a process: the parallelism is in the number of readers.
        extra = {"PYTHONPATH": list_import_folders(), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                self.command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # codecs write what they like there
                env={**os.environ, **extra},
                start_new_session=True,  # so that a Ctrl-C meant for the parent does not interrupt a job
            )
        return ours


_nursery = Nursery()
_idle: list[socket.socket] = []  # append and pop are atomic


def _disown() -> None:
    """In a forked copy of the parent: start anew, because two processes must not talk to one reader."""
    global _nursery
    if _nursery._process:
        _nursery._process.returncode = 0  # not ours to wait for
    _idle.clear()
    _nursery = Nursery()


os.register_at_fork(after_in_child=_disown)
