"""How a server that starts beside one that serves gives way to it: by its niceness, and on half of the cores.

On half of the cores it counts half of them (lungct.settings.count_cores), so that its workers have half the threads.
Niceness is given only where it can be taken back: root may, and who has RLIMIT_NICE (`nice` of limits.conf, LimitNICE
of systemd); see setpriority(2).
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lungct.settings import count_cores
from lungct_tools.server.instance import Instance
from lungct_tools.server.processes import find_processes

NICENESS = 5  # a third of what others get who want the same core: enough to be ready before the deadline
CAP_SYS_NICE = 23  # its bit, see capabilities(7)


@dataclass(frozen=True)
class Share:
    """What threads have of the machine, or are to have.

    Attributes:
        niceness: -20 to 19, see setpriority(2).
        cores: their numbers; empty: those that each thread has.
    """

    niceness: int
    cores: frozenset[int] = frozenset()

    @classmethod
    def read(cls, pid: int = 0) -> Share:
        """That of a process; of this thread without a number, or where that process has ended."""
        try:
            return cls(os.getpriority(os.PRIO_PROCESS, pid), frozenset(os.sched_getaffinity(pid)))
        except ProcessLookupError:
            return cls.read()

    def lower(self) -> Share:
        """For who gives way to a process with this share, on the cores that it has."""
        return Share(min(19, self.niceness + NICENESS) if may_take(self.niceness) else self.niceness)

    def halve(self) -> Share:
        """The same on half of these cores, and the odd one: what fits the whole machine is not refused there."""
        cores = sorted(self.cores)
        return Share(self.lower().niceness, frozenset(cores[-((min(len(cores), count_cores()) + 1) // 2) :]))

    def give(self, instance: Instance) -> None:
        """To every thread of a server; twice, as what one starts that was not reached yet has the old share."""
        for _ in range(2):
            for folder in find_processes(instance.pid) if instance.pid > 0 else ():
                with suppress(OSError):  # ended meanwhile
                    for task in (folder / "task").iterdir():
                        self._set(int(task.name))

    @contextmanager
    def lend(self) -> Iterator[None]:
        """To this thread for a while: what it starts keeps it."""
        own = Share.read()
        self._set(0)
        try:
            yield
        finally:
            own._set(0)

    def _set(self, thread: int) -> None:
        with suppress(OSError):  # ended meanwhile, or not ours to change
            os.setpriority(os.PRIO_PROCESS, thread, self.niceness)
        with suppress(OSError):
            if self.cores:
                os.sched_setaffinity(thread, self.cores)


def may_take(niceness: int) -> bool:
    """Whether this process may take that niceness, whatever it has."""
    capable = re.search(r"^CapEff:\s*([0-9a-f]+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    if capable and int(capable[1], 16) >> CAP_SYS_NICE & 1:
        return True
    limit = resource.getrlimit(resource.RLIMIT_NICE)[0]
    return limit == resource.RLIM_INFINITY or limit >= 20 - niceness
