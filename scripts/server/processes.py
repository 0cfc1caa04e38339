"""Processes by their folders in /proc, and how to know one again: its number goes to another when it has ended."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROC = Path("/proc")
STATE, PARENT, GROUP, START = 0, 1, 2, 19  # words of /proc/PID/stat after the name, see proc(5)


@contextmanager
def holding_back(*numbers: signal.Signals) -> Iterator[None]:
    """Let these signals wait until the block ends. A process that is started in it does not inherit that."""
    held: list[int] = []
    before = {number: signal.signal(number, lambda which, _: held.append(which)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for which in held:
            os.kill(os.getpid(), which)


def read_stat(pid: int) -> list[str]:
    """Words of a process's stat file after its name; OSError when there is none."""
    return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()


def read_birth(pid: int) -> str:
    """The boot and the clock tick in which a process began, "" when there is none: another of its number has others."""
    try:
        tick = read_stat(pid)[START]
        return f"{(PROC / 'sys/kernel/random/boot_id').read_text().strip()} {tick}"
    except (OSError, IndexError):
        return ""


def read_words(pid: int) -> list[bytes]:
    """Command line of a process; [] of one that has ended, as of a zombie."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return []


def read_resident(folder: Path) -> int:
    """Resident memory of a process in bytes, shared pages included; OSError when it has ended."""
    return int((folder / "statm").read_text().split()[1]) * resource.getpagesize()


def is_stopped(pid: int) -> bool:
    """Whether a process was stopped by a signal or a debugger: it is there and does nothing."""
    try:
        return read_stat(pid)[STATE] in "Tt"
    except (OSError, IndexError):
        return False


def list_members(group: int) -> Iterator[int]:
    """Processes of a group, without zombies; none of group 0, which would be ours."""
    for folder in PROC.glob("[0-9]*") if group > 0 else ():
        with suppress(OSError, IndexError):  # ended meanwhile
            words = read_stat(int(folder.name))
            if int(words[GROUP]) == group and words[STATE] not in "ZX":
                yield int(folder.name)


def find_processes(group: int) -> list[Path]:
    """Folders in /proc of a process group and of all that it started, which may lead groups of their own."""
    parents, found = {}, []
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError, IndexError):  # ended meanwhile
            words = read_stat(int(folder.name))
            parents[folder] = PROC / words[PARENT]
            if int(words[GROUP]) == group:
                found.append(folder)
    for folder in found:  # grows meanwhile
        found += [each for each, parent in parents.items() if parent == folder and each not in found]
    return found


def lives(pid: int, birth: str) -> bool:
    """Whether the process that was born then is still there, and no zombie."""
    try:
        return pid > 0 and bool(birth) and read_birth(pid) == birth and read_stat(pid)[STATE] not in "ZX"
    except (OSError, IndexError):
        return False
