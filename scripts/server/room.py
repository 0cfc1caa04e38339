"""Whether a second server finds room beside the first, in memory and on the disk."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from lungct_tools.server.instance import Instance
from lungct_tools.server.processes import find_processes, read_resident

COPIES = 3  # of an archive that is tried: the private one, what TorchServe unpacks, and the one in the store


def check_room(instance: Instance, archive: Path) -> str | None:
    """None where another server like this one finds room with an archive, else why not."""
    held, free = measure_held(instance), find_free()
    if held > free:
        return f"there is too little memory for two servers: {_tell(free)} are free, and one holds {_tell(held)}"
    needed, left = COPIES * archive.stat().st_size, shutil.disk_usage(instance.run).free
    if needed > left:
        room = f"{_tell(left)} are free, and {_tell(needed)} needed"
        return f"there is too little room on the disk of {instance.run}: {room}"
    return None


def _tell(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def measure_held(instance: Instance) -> int:
    """Bytes that all processes of a server hold, what they share counted once (Pss of proc_pid_smaps(5))."""
    held = 0
    for folder in find_processes(instance.pid):
        with suppress(OSError):  # ended meanwhile
            held += _read_share(folder)
    return held


def _read_share(folder: Path) -> int:
    try:
        found = re.search(r"^Pss:\s*(\d+) kB", (folder / "smaps_rollup").read_text(), re.MULTILINE)
    except OSError:  # a process that lets nobody look
        found = None
    return int(found[1]) * 1024 if found else read_resident(folder)


def find_free(root: Path = Path("/")) -> int:
    """Bytes that a new process may have: what is available, and no more than its control groups (version 2) leave."""
    known = _read_numbers(root / "proc/meminfo")
    free = known["MemAvailable"] * 1024
    group = re.search(r"^0::/(.*)$", (root / "proc/self/cgroup").read_text(), re.MULTILINE)
    top = root / "sys/fs/cgroup"
    place = top / group[1] if group else top
    for folder in (place, *place.parents[: len(place.parts) - len(top.parts)]):  # a parent's limit binds as well
        with suppress(OSError, ValueError):  # no limit there: "max"
            limit = int((folder / "memory.max").read_text())
            cached = _read_numbers(folder / "memory.stat")["inactive_file"]  # given back on demand
            free = min(free, limit - int((folder / "memory.current").read_text()) + cached)
    return max(free, 0)


def _read_numbers(path: Path) -> dict[str, int]:
    """NAME NUMBER, or NAME: NUMBER kB, a line."""
    rows = (line.replace(":", " ").split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows}
