"""How many workers an operator asked for, kept when the server starts again: TorchServe goes back to its settings."""

from __future__ import annotations

from pathlib import Path

from lungct_client import Client
from lungct_tools.server.instance import Instance
from lungct_tools.server.modelconfig import count_most, read_settings
from lungct_tools.server.seal import NAME, ArchiveError


def read_settled(store: Path) -> int:
    """minWorkers by the settings in the archive that a server was started from; 0 if it is not readable any more."""
    try:
        return int(read_settings(store / NAME)["minWorkers"])
    except ArchiveError:
        return 0


class Staff:
    """What the last server had, by its settings and by `make scale`."""

    def __init__(self) -> None:
        self._pid = self._settled = self._wanted = 0

    def limit(self, instance: Instance) -> None:
        """Take workers back that were asked for beyond what the machine can hold; TorchServe starts any number.

        Raises what Client.call raises.
        """
        client = Client(instance, deadline_s=0)
        asked, most = int(client.describe()["minWorkers"]), count_most()
        if asked > most:
            client.scale(most)
            print(
                f"gateway: {asked} workers were asked for, and {most} are the most here; scaled to {most}", flush=True
            )

    def keep(self, instance: Instance) -> None:
        """Look at a server that is ready; one that is new is scaled as the last one was, if that was not by settings.

        Raises what Client.call raises.
        """
        client = Client(instance, deadline_s=0)
        wanted = int(client.describe()["minWorkers"])
        if instance.pid != self._pid:
            if self._wanted not in (self._settled, wanted):
                client.scale(self._wanted)
                wanted = self._wanted
            self._pid, self._settled = instance.pid, read_settled(instance.store)
        self._wanted = wanted
