"""How long until the first good reply: after `make serve`, of what that is made, and after a worker was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import psutil

from lungct_client import Client, ServerError
from lungct_tools import ROOT
from lungct_tools.bench.servers import CPU, find_workers
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.polling import poll

DEADLINE_S = 120
WHOLE = "make serve"
PARTS = (
    "of it: make and its checks, until TorchServe is started",
    "of it: TorchServe, until it starts a worker",
    "of it: the worker, until the canary is scored",
)
KILLED = "worker killed"


def measure_starts(run: Path, body: bytes, repeats: int) -> dict[str, list[float]]:
    """Seconds to the first good reply after WHOLE, its PARTS, and to the next one after KILLED; a server each."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    ports = " ".join(map(str, find_ports(5)))
    environment = {k: v for k, v in os.environ.items() if k not in ("ARGS", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES")}
    environment |= {"LUNG_CT_RUN": str(run), "LUNG_CT_PORTS": ports}
    serve, stop = ["make", "serve", f"ARGS=--set {CPU}"], ["make", "stop"]
    for _ in range(repeats):
        started = time.perf_counter()
        with subprocess.Popen(serve, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as make:
            begun = psutil.Process(make.pid).create_time()
            code = make.wait()  # it returns when the canary slice was scored
            seconds = time.perf_counter() - started
        if code:
            raise subprocess.CalledProcessError(code, serve)
        instance = Instance.read(run)
        try:
            found[WHOLE].append(seconds)
            for part, share in zip(PARTS, split_start(instance, begun, seconds), strict=True):
                found[part].append(share)
            found[KILLED].append(measure_reload(instance, body))
        finally:
            subprocess.run(stop, cwd=ROOT, env=environment, check=True, capture_output=True)
    return dict(found)


def split_start(instance: Instance, begun: float, seconds: float) -> tuple[float, float, float]:
    """Seconds of PARTS, by when the processes of a start began that itself began at `begun` and took `seconds`."""
    (worker,) = find_workers(instance)
    launched, loading = (psutil.Process(pid).create_time() for pid in (instance.pid, worker))
    return launched - begun, loading - launched, begun + seconds - loading


def measure_reload(instance: Instance, body: bytes) -> float:
    """Kill the only worker; seconds until a slice is scored again. TimeoutError if it never is."""
    (worker,) = find_workers(instance)
    client = Client(instance, deadline_s=0)
    os.kill(worker, signal.SIGKILL)
    started = time.perf_counter()
    for _ in poll(DEADLINE_S, 0.02):
        with suppress(ServerError):
            client.predict(body)
            return time.perf_counter() - started
    raise TimeoutError("No worker came back.")
