"""How a server that starts beside one that serves gives way to it: by its niceness, and on half of the cores.

On half of the cores it counts half of them (lungct.settings.count_cores), so that its workers have half the threads.
Niceness is given only where it can be taken back: root may, and who has RLIMIT_NICE (`nice` of limits.conf, LimitNICE
of systemd); see setpriority(2).
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lungct.settings import count_cores
from lungct_tools.server.instance import Instance
from lungct_tools.server.processes import find_processes

NICENESS = 10
CAP_SYS_NICE = 23  # its bit, see capabilities(7)


def read_niceness() -> int:
    """Niceness of this thread, which what it starts begins with."""
    return os.getpriority(os.PRIO_PROCESS, 0)


def may_return() -> bool:
    """Whether niceness can be taken back, once given."""
    capable = re.search(r"^CapEff:\s*([0-9a-f]+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    if capable and int(capable[1], 16) >> CAP_SYS_NICE & 1:
        return True
    limit = resource.getrlimit(resource.RLIMIT_NICE)[0]
    return limit == resource.RLIM_INFINITY or limit >= 20 - read_niceness()


@contextmanager
def giving_way(cores: bool = True) -> Iterator[None]:
    """What this thread starts meanwhile gives way to what runs; `cores`: on half of the cores, too."""
    niceness, all_cores = read_niceness(), os.sched_getaffinity(0)
    try:
        if cores:
            os.sched_setaffinity(0, sorted(all_cores)[-max(1, count_cores() // 2) :])
        if may_return():
            os.setpriority(os.PRIO_PROCESS, 0, max(niceness, NICENESS))
        yield
    finally:
        os.sched_setaffinity(0, all_cores)
        if read_niceness() != niceness:
            os.setpriority(os.PRIO_PROCESS, 0, niceness)


def hold_back(instance: Instance) -> None:
    """Have a server that is starting give way to what runs, where that can be taken back."""
    if may_return():
        _set(instance, max(read_niceness(), NICENESS))


def release(instance: Instance) -> None:
    """Let a server have the cores and the niceness of this thread."""
    _set(instance, read_niceness(), os.sched_getaffinity(0))


def _set(instance: Instance, niceness: int, cores: Collection[int] = ()) -> None:
    """Of every thread, by its number; twice: what one that was not reached yet has started meanwhile is like it."""
    for _ in range(2):
        for folder in find_processes(instance.pid) if instance.pid > 0 else ():
            with suppress(OSError):  # ended meanwhile
                for task in (folder / "task").iterdir():
                    with suppress(OSError):
                        os.setpriority(os.PRIO_PROCESS, int(task.name), niceness)
                        if cores:
                            os.sched_setaffinity(int(task.name), cores)
