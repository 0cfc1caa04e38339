"""Headers of files from outside, parsed in a child process with a clock and a memory ceiling."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from pydicom.dataset import Dataset

from lungct.pixels.wire import receive, send
from lungct_tools.folder.source import UnreadableError
from lungct_tools.pacs import parser


class Headers:
    """One child, started when needed and again when a file ended it. May be shared by threads, which take turns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._peer: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Headers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, body: bytes) -> Dataset:
        """`keywords.KEYWORDS` of a DICOM file, each checked, as far as it has them.

        Raises:
            UnreadableError: corrupt_image where the file ended its parser; unsupported_dicom where it is no DICOM
                file, or has no UID of class, object, series or study.
        """
        with self._lock:
            try:
                peer = self._peer = self._peer or self._start()
                send(peer, {}, body)
                answer = receive(peer)[0]
            except (EOFError, OSError):
                self._stop()
                message = "The header takes too long or too much memory to read; export the slice again."
                raise UnreadableError("corrupt_image", message) from None
        if "missing" in answer:
            raise UnreadableError("unsupported_dicom", f"The file has no {answer['missing']}; send a DICOM CT slice.")
        return Dataset.from_json(answer["header"])

    def close(self) -> None:
        """End the child; a later `read` starts another."""
        with self._lock:
            self._stop()

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        folders = [folder for folder in sys.path if folder and Path(folder).is_absolute()]
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, "-P", "-W", "ignore", "-m", parser.__name__),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(folders), "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
        return ours

    def _stop(self) -> None:
        if self._peer is not None:
            self._peer.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._peer = self._process = None
