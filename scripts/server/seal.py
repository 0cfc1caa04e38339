"""The seal of an archive: its sha256 in a file beside it, written when it is built and compared at every start.

TorchServe runs what the archive holds. Who can write to the archive alone is found out; who can write to the seal as
well is not, so that `lungct serve --seal` takes one that is kept elsewhere.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from pathlib import Path

from lungct_tools.server.runfolder import write_whole

NAME = "lung_ct.mar"
BUILD = "build it with `make archive`"
REPAIR = "find out why, then bring both together from where they are good, or `make archive ARGS=--force`"


class ArchiveError(Exception):
    """An archive is missing, damaged, changed or set up wrongly; the message says what to do."""


def find_seal(archive: Path) -> Path:
    """Where the seal of an archive is, unless it is kept elsewhere."""
    return archive.with_name(f"{archive.name}.sha256")


def read_hash(archive: Path) -> str:
    """Hex sha256 of a file."""
    with archive.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_seal(archive: Path, seal: Path | None = None) -> None:
    """Vouch for an archive as it is now, in the format of sha256sum."""
    write_whole(seal or find_seal(archive), f"{read_hash(archive)}  {archive.name}\n")


def fits(archive: Path, seal: Path | None = None) -> bool:
    """Whether an archive is the one that was sealed; a seal that is missing or no seal fits none."""
    try:
        stated = re.match(r"[0-9a-f]{64}\b", (seal or find_seal(archive)).read_text("ascii"))
        return bool(stated) and stated[0] == read_hash(archive)
    except (OSError, ValueError):
        return False


def check_seal(archive: Path, seal: Path, copy: Path | None = None) -> None:
    """ArchiveError when an archive, or a copy of it, is missing, no archive, or not the one that was sealed."""
    if not archive.is_file():
        raise ArchiveError(f"{archive} is missing; {BUILD}.")
    if not zipfile.is_zipfile(copy or archive):
        raise ArchiveError(f"{archive} is no archive; {BUILD}.")
    if not seal.is_file():
        raise ArchiveError(f"{seal} is missing, without which {archive} may be anything; {REPAIR}.")
    if not fits(copy or archive, seal):
        raise ArchiveError(f"{archive} was changed or damaged: its sha256 is not that of {seal}; {REPAIR}.")


def take(archive: Path, seal: Path, folder: Path) -> Path:
    """A private copy of an archive that fits its seal: what was compared is what will be loaded.

    Raises:
        ArchiveError: as `check_seal`, or the copy cannot be made.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        copy = Path(shutil.copyfile(archive, folder / NAME))
    except OSError as error:
        raise ArchiveError(f"{archive} cannot be copied into {folder}: {error.strerror}.") from None
    check_seal(archive, seal, copy)
    return copy
