"""A second server from another archive, beside the one that serves: tried first, then perhaps its deputy."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from lungct_client import Client, RefusedError, ServerError, TokenError
from lungct_tools.commandline import compose
from lungct_tools.proxy.turning import wait_turned
from lungct_tools.server.courtesy import Share
from lungct_tools.server.deputy import FOLDER, RUN, dismiss, note
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.scale import wait_workers
from lungct_tools.server.seal import find_seal


def serve(*options: object) -> bool:
    """Start a server as a user does and wait; False when it does not become ready, which it has said by then."""
    command = compose("serve", *options)
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def try_out(archive: Path, instance: Instance, deadline_s: float) -> bool:
    """Whether a server set up like `instance` becomes ready with a sealed archive; it gives way to that one, and stays.

    `end_deputy` ends it.
    """
    place = ("--run", instance.run / RUN, "--store", archive.parent, "--seal", find_seal(archive))
    ports = ("--ports", *find_ports(5))
    modest = Share.read(instance.pid).halve()
    with Console(stderr=True).status("update: trying the new archive beside the server"), modest.lend():
        # of options that stand twice the last ones count
        return serve(*instance.options, *place, *ports, "--deadline", deadline_s)


def hand_over(instance: Instance, deadline_s: float) -> bool:
    """Have the gateway ask the server that was tried, with as many workers as the first; False if it does not turn."""
    tried = Instance.read(instance.run / RUN)
    with suppress(ServerError, RefusedError, TokenError):  # fewer workers are better than none
        wanted, client = Client(instance).describe()["minWorkers"], Client(tried)
        if client.describe()["minWorkers"] != wanted:
            client.scale(wanted)
            wait_workers(client, wanted, deadline_s)
    Share.read(instance.pid).give(tried)
    note(instance.run, asked=True)
    with Console(stderr=True).status("update: the gateway goes over to the server that was tried"):
        if wait_turned(instance.run, tried.run):
            return True
    dismiss(instance.run)
    return False


def share_out(instance: Instance, percent: float, shadow: bool) -> bool:
    """Have the gateway ask the server that was tried for so many per cent of the requests; False if it does not turn.

    `shadow`: it gets copies of these.

    Nobody has to stay for it: it goes on until it is promoted or taken back.
    """
    note(instance.run, asked=False, percent=percent, shadow=shadow)
    with Console(stderr=True).status("update: the gateway gives the new archive its share"):
        if wait_turned(instance.run, instance.run / FOLDER):
            return True
    dismiss(instance.run)
    return False


def hand_back(instance: Instance) -> None:
    """Have the gateway ask the server itself again, and wait until the one that was tried has no request any more."""
    dismiss(instance.run)
    with Console(stderr=True).status("update: the gateway comes back to the server"):
        wait_turned(instance.run, instance.run)
