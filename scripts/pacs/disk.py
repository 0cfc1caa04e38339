"""Files and folders for their owner alone that survive a loss of power."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def write_durably(path: Path, body: bytes) -> None:
    """Write a file in one stroke that survives a loss of power; one that a full disk cuts off leaves nothing."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder for its owner alone, in one that is there, so that it survives a loss of power."""
    if not path.exists():
        path.mkdir(mode=FOLDER_MODE)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def measure(folder: Path) -> int:
    """Bytes of the files below a folder that others may be writing to."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # it has another name by now
            found = path.lstat()
            size += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size
