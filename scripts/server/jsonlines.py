"""The server's log as JSON lines: what Java logs is one already (config/log4j2.xml), what else is printed becomes one.

A line is {"time": RFC 3339, "level": WORD, "logger": NAME, "message": TEXT}.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import BinaryIO

LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) ([A-Z]+) +(\S+) - (.*)", re.DOTALL)  # of the other front
LONGEST = 2**16  # bytes of a line; a longer one goes on in the next
REST_S = 5  # for what is left in the pipe of a server that has ended


def convert(line: bytes) -> bytes:
    """A line of a log as JSON with its line end; one that is JSON already as it is."""
    text = line.decode(errors="replace").rstrip()
    if not read(text):
        found = LINE.fullmatch(text)
        time, level, logger, said = found.groups() if found else (None, "INFO", "stdout", text)
        moment = datetime.fromisoformat(time.replace(",", ".")).astimezone() if time else datetime.now(UTC)
        stamp = moment.isoformat(timespec="milliseconds")
        text = json.dumps({"time": stamp, "level": level, "logger": logger, "message": said})
    return text.encode() + b"\n"


def read(line: str) -> dict[str, str]:
    """The fields of a line; {} where it is none of ours."""
    with suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict) and found.keys() == {"time", "level", "logger", "message"}:
            return found
    return {}


def convert_all(source: BinaryIO) -> Iterator[bytes]:
    """Every line of a pipe, until all have ended who write into it."""
    return map(convert, iter(partial(source.readline, LONGEST), b""))


def follow(process: subprocess.Popen[bytes]) -> int:
    """Pass on what a server says into a pipe, if it has one, and wait for its end; its exit code."""
    if process.stdout is None:
        return process.wait()
    relay = threading.Thread(target=pass_on, args=(process.stdout,), daemon=True)
    relay.start()
    code = process.wait()
    relay.join(REST_S)
    return code


def pass_on(source: BinaryIO) -> None:
    """To standard output. Where nobody takes it, it is lost: the server must never wait for its log."""
    for line in convert_all(source):
        with suppress(OSError):
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
