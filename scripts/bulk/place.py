"""Where things lie: a path on a disk, or an address in a bucket. What a bulk run does to both, in one way."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lungct_tools.bulk.bucket import Address
from lungct_tools.bulk.faults import CREDENTIALS, BucketError
from lungct_tools.folder.source import (
    MAX_BYTES,
    UnreadableError,
    check_size,
    read_head,
    stamp_path,
)

Place = Path | Address


def parse_place(text: str) -> Place:
    """A path, or SCHEME://BUCKET/KEY; BucketError for what is neither."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)/*(.*)", text, re.DOTALL)
    if not found:
        return Path(text)
    scheme, bucket, key = found[1], found[2], found[3].rstrip("/")
    if "@" in bucket or ":" in bucket:
        raise BucketError(f"No credentials in {scheme}:// addresses; set {CREDENTIALS.get(scheme, 'its variables')}.")
    if scheme not in CREDENTIALS or not re.fullmatch(r"[A-Za-z0-9._-]+", bucket, re.ASCII):
        raise BucketError(f"{text} leads nowhere; give a path, or s3://BUCKET/PREFIX.")
    if key and {"", ".", ".."} & set(key.split("/")):
        raise BucketError(f"{text} has '//', '.' or '..' in it; name the place without.")
    return Address(f"{scheme}://{bucket}", key)


def holds(folder: Place, place: Place) -> bool:
    """Whether a place lies inside a folder, or a key below an address."""
    return isinstance(folder, Address) == isinstance(place, Address) and place.resolve().is_relative_to(folder)


@contextmanager
def writing(place: Place) -> Iterator[IO[bytes]]:
    """A file that is at `place`, whole and on the disk, once this ends; until then, and if it fails, nothing is."""
    if isinstance(place, Address):
        with tempfile.NamedTemporaryFile() as file:
            yield file
            file.flush()
            place.put(Path(file.name))
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f".{uuid.uuid4().hex}")  # several may write the same at a time
    try:
        with new.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)
    folder = os.open(place.parent, os.O_RDONLY)
    with suppress(OSError):  # not every mounted file system can
        os.fsync(folder)
    os.close(folder)


def create(place: Place, body: bytes) -> None:
    """Write a file unless it is there; of several that come at once, one does."""
    if isinstance(place, Address):
        with suppress(FileExistsError):
            place.create(body)
        return
    new = place.with_name(f".{uuid.uuid4().hex}")
    new.write_bytes(body)
    try:
        os.link(new, place)  # fails where there is one, however many processes come at once
    except OSError:
        if not place.exists():  # a mounted bucket knows no links
            new.replace(place)
    finally:
        new.unlink(missing_ok=True)


def list_names(place: Place) -> set[str]:
    """Names of the files in a folder; none where there is no folder."""
    if isinstance(place, Address):
        return {each.name for each in place.walk()}
    try:
        return {each.name for each in place.iterdir()}
    except FileNotFoundError:
        return set()


def read_start(place: Place, count: int) -> bytes:
    """As `read_head`, of both; BucketError where it is not this object alone that cannot be read."""
    if not isinstance(place, Address):
        return read_head(place, count)
    try:
        return place.read_head(count)
    except OSError as error:
        raise UnreadableError("unreadable_file", f"The file cannot be read: {error.strerror}.") from None


def read_whole(place: Place) -> bytes:
    """The bytes of a file of at most MAX_BYTES; UnreadableError when it is larger, else as `read_start`."""
    return check_size(read_start(place, MAX_BYTES + 1))


def read_state(place: Place) -> tuple[int, str]:
    """Bytes of a file, and what changes when it is written to: its size and date, or an object's size and ETag.

    Not all of the stamp: a copy that keeps the dates (cp -a) has other inodes.
    """
    if isinstance(place, Address):
        return place.size or 0, f"{place.size}.{place.tag}"
    state = ".".join(stamp_path(place).split(".")[:2])
    return int(state.partition(".")[0] or 0), state


@contextmanager
def staging(place: Place) -> Iterator[Path]:
    """A folder whose files are at `place` once this ends: that itself, or one on this disk."""
    if not isinstance(place, Address):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="lung-ct-") as folder:
        yield Path(folder)
        for file in sorted(Path(folder).iterdir()):
            (place / file.name).put(file)
