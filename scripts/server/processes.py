"""Processes by their folders in /proc."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path


def read_resident(folder: Path) -> int:
    """Resident memory of a process in bytes, shared pages included; OSError when it has ended."""
    return int((folder / "statm").read_text().split()[1]) * resource.getpagesize()


def find_processes(group: int) -> list[Path]:
    """Folders in /proc of a process group and of all that it started, which may lead groups of their own."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile
            _, parent, leader = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:3]
            parents[folder] = Path("/proc", parent)
            if int(leader) == group:
                found.append(folder)
    for folder in found:  # grows meanwhile
        found += [each for each, parent in parents.items() if parent == folder and each not in found]
    return found
