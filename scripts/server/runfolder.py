"""The run folder: ours or refused, written without following links, and nothing outside it removed."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from lungct_client import ServerError

SOCKET_PATH_LIMIT = 80  # a Unix socket path holds 107 bytes; TorchServe adds /.ts.sock.9000
TEMP_PREFIX = "lung-ct-"  # of the folder that stands in where that of the run folder has too long a path


class RunFolderError(ServerError):
    """A run folder or a file in it cannot be trusted or read; the message says what to do."""


def check_ours(folder: Path) -> None:
    """RunFolderError when a folder that is there belongs to another user, can be written by everybody, or is none.

    Root would follow what another user prepared there, and end or remove what that user names.
    """
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be used: {error.strerror}; choose another folder.") from None
    if not stat.S_ISDIR(found.st_mode):
        raise RunFolderError(f"{folder} is no folder; move it away, or choose another folder.")
    if found.st_uid != os.geteuid():
        raise RunFolderError(
            f"{folder} belongs to user {found.st_uid}, not to you; run this as that user, or choose another folder."
        )
    if found.st_mode & stat.S_IWOTH:
        raise RunFolderError(f"Everybody can write to {folder}; look what lies in it, then chmod 700 it.")


def is_strange(path: Path) -> bool:
    """Whether this is a link of another user, who may lead it anywhere."""
    return path.is_symlink() and path.lstat().st_uid not in (0, os.geteuid())


def resolve(run: Path) -> Path:
    """The folder that a path leads to; RunFolderError where a link to it is another user's, who leads it anywhere."""
    place = run.absolute()
    for part in (place, *place.parents):
        if is_strange(part):
            raise RunFolderError(
                f"{part} is a link of user {part.lstat().st_uid}; give the folder that you mean itself."
            )
    return Path(os.path.realpath(run))  # Path.resolve raises RuntimeError for a link to itself


def is_ours(folder: Path) -> bool:
    """Whether a folder is there that we may trust."""
    try:
        check_ours(folder)
    except RunFolderError:
        return False
    return folder.is_dir()


def claim(folder: Path) -> None:
    """Have the folder, for its owner only; RunFolderError when it is not ours or cannot be made."""
    check_ours(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_ours(folder)
        folder.chmod(0o700)
    except OSError as error:
        raise RunFolderError(f"{folder} cannot be used: {error.strerror}; choose another folder.") from None


def close_empty(folder: Path) -> None:
    """Take an empty folder of ours from all others, who may write to a fresh mount.

    It is closed before anybody looks what is in it, so that nothing comes in between; one that holds something is left
    as it was, to be refused.
    """
    with suppress(OSError), _open_folder(folder) as handle:
        found = os.fstat(handle)
        if found.st_uid == os.geteuid() and found.st_mode & stat.S_IWOTH:
            os.fchmod(handle, 0o700)
            if os.listdir(handle):  # noqa: PTH208 -- by its handle
                os.fchmod(handle, stat.S_IMODE(found.st_mode))


@contextmanager
def _open_folder(path: Path) -> Iterator[int]:
    """A folder itself, whatever becomes of its name meanwhile; OSError for a link."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield handle
    finally:
        os.close(handle)


def open_fresh(path: Path, mode: int = 0o666) -> BinaryIO:
    """A new file in the place of whatever had the name; no link is followed."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "w+b")


def open_lock(path: Path) -> BinaryIO:
    """A file that stays, to be locked; RunFolderError as `open_kept`."""
    return open_kept(path, "wb", 0o600)


def open_kept(path: Path, how: str, mode: int = 0o666) -> BinaryIO:
    """A file that stays, made where there is none: "wb" or, to go on at its end and be read, "a+b".

    Raises:
        RunFolderError: it is no file but a link or a pipe, or cannot be made.
    """
    end = os.O_APPEND if how.startswith("a") else 0
    try:
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | end, mode)  # who only writes waits at a pipe
        if stat.S_ISREG(os.fstat(opened).st_mode):
            return cast(BinaryIO, os.fdopen(opened, how))
        os.close(opened)
        reason = "it is no file"
    except OSError as error:
        reason = str(error.strerror)
    raise RunFolderError(f"{path} cannot be used: {reason}; move it away.")


def write_whole(path: Path, text: str | bytes, mode: int = 0o666) -> None:
    """Write a file in one stroke: who reads it meanwhile finds the old text or the new one. `mode` as in open(2)."""
    fresh = path.with_name(f"{path.name}.new")
    with open_fresh(fresh, mode) as file:
        file.write(text.encode() if isinstance(text, str) else text)
    fresh.replace(path)


def copy_fresh(source: Path, target: Path) -> None:
    """Copy a file, and whom it is for, into the place of whatever had the name; no link is followed there."""
    with source.open("rb") as read, open_fresh(target, stat.S_IMODE(os.fstat(read.fileno()).st_mode)) as written:
        shutil.copyfileobj(read, written, 2**20)


def make_temp(run: Path, left: str = "") -> str:
    """A private, empty folder for sockets and the unpacked model, in `run` if its path fits a Unix socket.

    And if it may stand in a list of folders: at a colon Python's import path is cut, and the model's code would be
    looked for in two other places.

    `left`: that of the last server, to be removed. One that was killed left its model there, and the next one unpacks
    another: a few of them fill a container's memory.
    """
    inside = run / "tmp"
    remove_temp(run, left or str(inside))
    if len(str(inside)) > SOCKET_PATH_LIMIT or os.pathsep in str(inside):
        return tempfile.mkdtemp(prefix=TEMP_PREFIX)
    inside.mkdir(mode=0o700, exist_ok=True)
    check_ours(inside)
    return str(inside)


def remove_temp(run: Path, temp: str) -> None:
    """Remove a folder that `make_temp` made, and no other, whatever a record says."""
    folder = Path(temp)
    stand_in = folder.parent == Path(tempfile.gettempdir()) and folder.name.startswith(TEMP_PREFIX)
    if folder.is_absolute() and (folder == run / "tmp" or stand_in) and is_ours(folder):
        shutil.rmtree(folder, ignore_errors=True)
