"""Our server for the time of a measurement, with settings of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from scripts.archive import build
from scripts.bench.load import Target
from scripts.client import Client, Tokens
from scripts.instance import ROOT, Instance, find_ports
from scripts.stop import stop

OPTIONS: dict[str, dict[str, str]] = {
    "classes": {},
    "classes + grids": {"X-Heatmap": "always", "X-Heatmap-Format": "grid"},
    "classes + JPEG overlay": {"X-Heatmap": "always", "X-Heatmap-Format": "jpeg"},
    "classes + PNG overlay": {"X-Heatmap": "always", "X-Heatmap-Format": "png"},
}


@contextmanager
def serve(run: Path, changes: Mapping[str, Any]) -> Iterator[Instance]:
    """A server with `changes` to config/model-config.yaml, ready, on free ports; `run` is its folder of files."""
    run.mkdir(parents=True, exist_ok=True)
    settings = run / "model-config.yaml"
    given = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    handler = {**given["handler"], **changes.get("handler", {})}
    settings.write_text(yaml.safe_dump({**given, **changes, "handler": handler}))
    build(ROOT / "model_store" / "lung_ct", run / "store", settings)
    script = str(ROOT / "scripts" / "serve.py")
    ports = map(str, find_ports(5))
    subprocess.run(
        [sys.executable, script, "--run", run, "--store", run / "store", "--ports", *ports],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    instance = Instance.read(run)
    try:
        yield instance
    finally:
        stop(instance)


def aim(instance: Instance, slices: Sequence[bytes], options: Mapping[str, str]) -> Target:
    """Predictions with header options."""
    token = Tokens(instance.keys).read("inference")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream", **options}
    return Target(instance.ports[0], "/predictions/lung_ct", headers, slices)


def find_workers(instance: Instance) -> list[int]:
    """Process ids of the workers."""
    return [worker["pid"] for worker in Client(instance).describe()["workers"]]
