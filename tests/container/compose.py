"""compose.yaml, as it is written and as it runs on a machine for tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from lungct_tools import ROOT
from tests.container.podman import Podman

FILE = ROOT / "compose.yaml"
# with variables filled in, as compose does
DECLARED = yaml.safe_load(re.sub(r"\$\{HOME\}|\$\{\w+:[-?]([^}]*)\}", r"\1", FILE.read_text()))
PATIENCE_S = 30  # of the watchdog
HERE = ("pod", "server", "gateway", "exporter", "prometheus")  # Grafana's image needs a registry


@dataclass(frozen=True)
class Compose:
    """podman-compose with what compose.yaml needs changed here.

    Attributes:
        home: folder that holds .config/lung-ct, with keys and certificate.
        changes: a second compose file.
    """

    podman: Podman
    home: Path
    changes: Path

    def write_changes(self, gateway: int, prometheus: int, image: str) -> None:
        """No systemd, so no health checks by podman; limits that a test's host allows; ports; a watchdog of less
        patience; Debian's Prometheus."""
        service = {"healthcheck": {"disable": True}, "ulimits": {"nofile": 4096, "nproc": 4096}}
        services = {name: dict(service) for name in HERE}
        services["pod"]["ports"] = [f"127.0.0.1:{gateway}:8443", f"127.0.0.1:{prometheus}:9090"]
        services["gateway"]["depends_on"] = {"server": {"condition": "service_started"}}
        asked = DECLARED["services"]["gateway"]["command"]
        services["gateway"]["command"] = [f"--patience={PATIENCE_S}" if "patience" in each else each for each in asked]
        command = ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
        binary = "/usr/bin/prometheus"
        services["prometheus"] |= {"image": image, "user": "0", "entrypoint": command}
        services["prometheus"]["volumes"] = [f"{binary}:{binary}:ro"]
        self.changes.write_text(json.dumps({"services": services}))

    def __call__(self, *arguments: str, timeout_s: float = 240) -> None:
        compose = Path(sys.executable).parent / "podman-compose"
        store = [f"--podman-args={option}" for option in self.podman.store]
        command = [compose, *store, "--in-pod", "false", "--file", FILE, "--file", self.changes, *arguments]
        environment = {**os.environ, "HOME": str(self.home), "GRAFANA_PASSWORD": "unused"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, check=False, cwd=ROOT, env=environment
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
