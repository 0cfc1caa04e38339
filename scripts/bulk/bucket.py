"""Objects in a bucket, by those words of pathlib that a bulk run speaks: what it does to files works on them as well.

An object is whole or not there, and seen by all once it is written; there are no folders, and nothing is ever renamed.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import IO, Any, Self
from urllib.parse import urlsplit

from lungct_tools.bulk.faults import BucketError, DeniedError, lack_credentials, read_code, telling

READ_AT_ONCE = 1 << 18  # bytes of a manifest
PARTS = 9000  # of an upload in several parts, of which there may be 10,000
SMALLEST = 8 << 20  # bytes of such a part
LOOPBACK = ("127.0.0.1", "localhost", "::1")
GIVEN = (  # one of them says where credentials are
    "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_SKIP_SIGNATURE",
)  # fmt: skip


@dataclass(frozen=True)
class Address:
    """A place in a bucket, whether something is there or not.

    Attributes:
        root: the bucket with its scheme, such as s3://scans.
        key: below it, without `/` at either end.
        size, tag: bytes and ETag as they were listed; None, "" where it was not listed.
    """

    root: str
    key: str = ""
    size: int | None = field(default=None, compare=False)
    tag: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.root}/{self.key}" if self.key else self.root

    def __truediv__(self, name: str) -> Address:
        return Address(self.root, f"{self.key}/{name}" if self.key else name)

    @property
    def name(self) -> str:
        return PurePosixPath(self.key).name

    @property
    def parent(self) -> Address:
        above = PurePosixPath(self.key).parent.as_posix()
        return Address(self.root, "" if above == "." else above)

    def resolve(self) -> Self:
        return self

    def is_relative_to(self, other: object) -> bool:
        return f"{self}/".startswith(f"{other}/")

    def is_dir(self) -> bool:
        """Whether there is anything below; BucketError where that may not be asked."""
        return next(self._list(), None) is not None

    def mkdir(self, **_: bool) -> None:
        """A bucket has no folders."""

    def exists(self) -> bool:
        """Whether there is an object here."""
        try:
            with telling(self.root, self.key) as obstore:
                obstore.head(connect(self.root), self.key)
        except FileNotFoundError:
            return False
        return True

    def read_bytes(self) -> bytes:
        """The object; OSError as of a file, BucketError."""
        return self._get()

    def read_head(self, count: int) -> bytes:
        """The first `count` bytes of the object, or all where it has fewer.

        Raises:
            FileNotFoundError: it is not there.
            PermissionError: this one may not be read, while the bucket may be.
            BucketError: nothing can be read here.
        """
        try:
            return self._get(range=(0, count))
        except DeniedError:
            Address(self.root, self.parent.key).is_dir()
            raise PermissionError(13, os.strerror(13), str(self)) from None

    def open(self, _mode: str = "rb") -> IO[bytes]:
        """The object for reading here and there; BucketError in the midst of it once it is another one."""
        with telling(self.root, self.key) as obstore:  # the answer to HEAD would not say why it is none
            about = obstore.get(connect(self.root), self.key, options={"range": (0, 1)}).meta
        return io.BufferedReader(_Reader(self, int(about["size"]), about["e_tag"]), READ_AT_ONCE)

    def put(self, file: Path) -> None:
        """Have what a file holds as this object, in one stroke."""
        size = max(SMALLEST, file.stat().st_size // PARTS)
        with telling(self.root, self.key) as obstore:
            obstore.put(connect(self.root), self.key, file, chunk_size=size, max_concurrency=4)

    def create(self, body: bytes) -> None:
        """Have these bytes as this object; FileExistsError where there is one, however many come at once."""
        with telling(self.root, self.key) as obstore:
            obstore.put(connect(self.root), self.key, body, mode="create")

    def walk(self) -> Iterator[Address]:
        """All objects below, in the order in which their store has them.

        What programs leave in place of folders, empty and with a name that ends in `/`, is no object.
        """
        for found in self._list():
            place = Address(self.root, found["path"], found["size"], (found["e_tag"] or "").strip('"'))
            if place.size or place.exists():  # such a name arrives here without its `/`, and nothing has it
                yield place

    def _list(self) -> Iterator[dict[str, Any]]:
        with telling(self.root, self.key) as obstore:
            for portion in obstore.list(connect(self.root), prefix=self.key or None):
                yield from portion

    def _get(self, **options: Any) -> bytes:
        with telling(self.root, self.key) as obstore:
            try:
                return bytes(obstore.get(connect(self.root), self.key, options=options).bytes())
            except obstore.exceptions.BaseError as fault:
                if "range" in options and read_code(fault) in ("InvalidRange", "416"):  # there is nothing to read there
                    return b""
                raise


class _Reader(io.RawIOBase):
    """An object as a file of which portions are fetched."""

    def __init__(self, place: Address, size: int, tag: str) -> None:
        self._place, self._size, self._tag, self._at = place, size, tag, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        body = self._place._get(range=(self._at, end), if_match=self._tag)
        buffer[: len(body)] = body
        self._at += len(body)
        return len(body)


@cache
def connect(root: str) -> Any:
    """What reaches a bucket, by the variables that the tools of its cloud read; BucketError where it cannot be.

    The endpoint is $AWS_ENDPOINT_URL_S3 or $AWS_ENDPOINT_URL. One without TLS is taken on this machine, and elsewhere
    where $AWS_ALLOW_HTTP is true.
    """
    with telling(root) as obstore:
        options: dict[str, Any] = {}
        client: dict[str, Any] = {"timeout": "60s", "connect_timeout": "5s"}
        if root.startswith("s3://"):
            options = choose_options(root)
            client["allow_http"] = options.get("endpoint", "").startswith("http://")
        retries = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
        try:
            return obstore.store.from_url(root, client_options=client, retry_config=retries, **options)
        except obstore.exceptions.BaseError:  # it asks nobody yet
            raise BucketError(lack_credentials(root)) from None


def choose_options(root: str) -> dict[str, str]:
    """How an S3 bucket is reached, but for credentials, which nothing here reads; BucketError where it cannot be."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if endpoint and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+/?", endpoint, re.ASCII):
        raise BucketError("AWS_ENDPOINT_URL is no address of a server; set it to one such as https://HOST:PORT.")
    parts = urlsplit(endpoint)
    allowed = parts.hostname in LOOPBACK or os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true"
    if parts.scheme == "http" and not allowed:
        raise BucketError(
            f"AWS_ENDPOINT_URL names {parts.hostname} without TLS; use https, or set AWS_ALLOW_HTTP=true "
            "where nobody else is on the network."
        )
    asks = os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true"
    if not asks and not any(map(os.environ.get, GIVEN)):
        raise BucketError(lack_credentials(root))
    return {"endpoint": endpoint} if endpoint else {}
