"""How nginx turns from one server to another: which ones its workers ask now, and what becomes of a deputy left alone.

A worker stands in the run folder of the server that it asks, or in the deputy's folder if it asks both
(`working_directory`, see Route.place). Those of the settings before finish what they have where they stood: once all
stand elsewhere, nobody asks that server.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from lungct_client import ServerError
from lungct_client.address import read_plain
from lungct_tools.proxy.keeper import is_nginx
from lungct_tools.proxy.record import FINISH_S, find, find_guard
from lungct_tools.server.deputy import dismiss, end_deputy, find_deputy
from lungct_tools.server.instance import Instance
from lungct_tools.server.polling import poll
from lungct_tools.server.processes import list_members

BEGIN_S = 30.0  # that the supervisor may take to notice: it may be about to check the server


class HiddenError(ServerError):
    """The kernel does not tell this process whom nginx asks; the message says what to do."""


def list_asked(run: Path) -> set[Path]:
    """Where nginx's workers stand, which tells whom they ask; empty where there is no nginx.

    Raises:
        HiddenError: nginx has what this process has not, a capability or another user: see ptrace(2), access mode.
    """
    try:
        master = int(read_plain(run / "gateway" / "nginx.pid"))
    except (OSError, ValueError):
        return set()
    found = set()
    for pid in list_members(master):
        try:
            if pid != master and is_nginx(pid):  # the number of a master that was killed may have gone to others
                found.add(Path(f"/proc/{pid}/cwd").readlink())
        except (FileNotFoundError, ProcessLookupError):
            pass  # ended meanwhile
        except PermissionError:
            raise HiddenError(
                "nginx has a capability that this command lacks, which cannot see whom it asks; start the gateway "
                "without (for its port: sysctl net.ipv4.ip_unprivileged_port_start)"
            ) from None
    return found


def wait_turned(run: Path, place: Path) -> bool:
    """Wait until the gateway's route is the one of this place alone; False when it does not turn to it at all."""
    for _ in poll(BEGIN_S, 0.05):
        if place in list_asked(run):
            break
        if find(run) is None and find_guard(run) is None:
            return False
    else:
        return False
    for _ in poll(FINISH_S, 0.05):
        if list_asked(run) <= {place}:
            break
    return True


def relieve(instance: Instance, ready: bool) -> None:
    """One step towards the end of a deputy whose update was killed: once the server is ready, nobody needs it."""
    deputy = find_deputy(instance.run)
    if deputy is None or not deputy.orphaned:
        return
    with suppress(ServerError, OSError):  # at the next look
        if deputy.asked:
            if ready:
                dismiss(instance.run)
        elif list_asked(instance.run) == {instance.run}:
            end_deputy(instance.run)
