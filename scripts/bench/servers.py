"""Our server for the time of a measurement, with settings of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lungct_client import Client, Tokens
from lungct_tools import ROOT
from lungct_tools.bench.estimate import Sample
from lungct_tools.bench.load import Target, run_settled
from lungct_tools.commandline import compose
from lungct_tools.server.archive import build
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.shutdown import stop

CPU = "number_of_gpu=0"  # for TorchServe: else ours takes a GPU that is there, and is held against CPUs
OPTIONS: dict[str, dict[str, str]] = {
    "classes": {},
    "classes + grids": {"X-Heatmap": "always", "X-Heatmap-Format": "grid"},
    "classes + JPEG overlay": {"X-Heatmap": "always", "X-Heatmap-Format": "jpeg"},
    "classes + PNG overlay": {"X-Heatmap": "always", "X-Heatmap-Format": "png"},
}


@contextmanager
def serve(run: Path, changes: Mapping[str, Any], front: str = "torchserve") -> Iterator[Instance]:
    """A server with `changes` to config/model-config.yaml, ready, on free ports and the CPU; `run` is its folder."""
    run.mkdir(parents=True, exist_ok=True)
    settings = run / "model-config.yaml"
    given = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    handler = {**given["handler"], **changes.get("handler", {})}
    settings.write_text(yaml.safe_dump({**given, **changes, "handler": handler}))
    build(ROOT / "model_store" / "lung_ct", run / "store", settings)
    command = compose("serve", "--run", run, "--store", run / "store", "--set", CPU, "--front", front)
    subprocess.run([*command, "--ports", *map(str, find_ports(5))], check=True, stdout=subprocess.DEVNULL)
    instance = Instance.read(run)
    try:
        yield instance
    finally:
        stop(instance)


def aim(instance: Instance, slices: Sequence[bytes], options: Mapping[str, str]) -> Target:
    """Predictions with header options and a fresh token, which ends the one before: to be asked for each measurement.

    A token lives an hour, and many repeats take longer.
    """
    tokens = Tokens(instance.keys)
    token = tokens.renew("inference", tokens.read("inference"), instance.url("management"))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream", **options}
    return Target(instance.ports[0], "/predictions/lung_ct", headers, slices)


def run_served(
    instance: Instance, slices: Sequence[bytes], options: Mapping[str, str], callers: int, seconds: float
) -> Sample:
    """A closed loop of predictions with header options."""
    return run_settled(aim(instance, slices, options), callers, seconds)


def find_workers(instance: Instance) -> list[int]:
    """Process ids of the workers."""
    return [worker["pid"] for worker in Client(instance).describe()["workers"]]
