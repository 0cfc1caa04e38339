"""How long until the first good reply: after `make serve`, and after a worker was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from scripts.bench.servers import find_workers
from scripts.client import Client, ServerError
from scripts.instance import ROOT, Instance, find_ports

DEADLINE_S = 120


def measure_starts(run: Path, body: bytes, repeats: int) -> dict[str, list[float]]:
    """Seconds of "make serve" to the first good reply, and of "worker killed" to the next one; a server each."""
    found: dict[str, list[float]] = {"make serve": [], "worker killed": []}
    ports = " ".join(map(str, find_ports(5)))
    environment = {k: v for k, v in os.environ.items() if k not in ("ARGS", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES")}
    environment |= {"LUNG_CT_RUN": str(run), "LUNG_CT_PORTS": ports}

    def make(target: str) -> None:
        command = ["make", target]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)

    for _ in range(repeats):
        started = time.perf_counter()
        make("serve")  # returns when the canary slice was scored
        found["make serve"].append(time.perf_counter() - started)
        try:
            found["worker killed"].append(measure_reload(Instance.read(run), body))
        finally:
            make("stop")
    return found


def measure_reload(instance: Instance, body: bytes) -> float:
    """Kill the only worker; seconds until a slice is scored again. TimeoutError if it never is."""
    (worker,) = find_workers(instance)
    client = Client(instance, deadline_s=0)
    os.kill(worker, signal.SIGKILL)
    started = time.perf_counter()
    while time.perf_counter() < started + DEADLINE_S:
        try:
            client.predict(body)
            return time.perf_counter() - started
        except ServerError:
            time.sleep(0.02)
    raise TimeoutError("No worker came back.")
