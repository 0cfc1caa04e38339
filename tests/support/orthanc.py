"""A real Orthanc with DICOMweb for the tests, reachable at loopback only."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.calls import wait_until
from tests.support.forwarding import Relay

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
HTTP, DICOM, OURS = 8042, 4242, 11112  # in its own namespace; at the last it reaches a listener of ours


@dataclass
class Orthanc:
    """One that runs.

    Attributes:
        http, dicom: loopback ports.
        ours: socket where it looks for the listener that it knows as LUNGCT.
    """

    http: int
    dicom: int
    ours: Path

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.http}/dicom-web"

    @property
    def peer(self) -> str:
        return f"ORTHANC@127.0.0.1:{self.dicom}"

    def ask(self, path: str) -> Any:
        return requests.get(f"http://127.0.0.1:{self.http}{path}", timeout=30).json()

    def add(self, body: bytes) -> None:
        requests.post(f"http://127.0.0.1:{self.http}/instances", data=body, timeout=30).raise_for_status()

    @contextmanager
    def reaching(self, port: int) -> Iterator[None]:
        """Let it open associations to a listener at a loopback port."""
        relay = Relay.to_port(self.ours, port)
        try:
            yield
        finally:
            relay.close()

    def results(self) -> dict[str, list[str]]:
        """SOP instance UIDs of our objects by what they are."""
        found: dict[str, list[str]] = {}
        for series in self.ask("/series?expand"):
            what = series["MainDicomTags"].get("SeriesDescription", "")
            if what.startswith("LungServe"):
                instances = [self.ask(f"/instances/{each}") for each in series["Instances"]]
                uids = [each["MainDicomTags"]["SOPInstanceUID"] for each in instances]
                found.setdefault(what.split()[1], []).extend(uids)
        return found

    def clear(self) -> None:
        for patient in self.ask("/patients"):
            requests.delete(f"http://127.0.0.1:{self.http}/patients/{patient}", timeout=30).raise_for_status()


@contextmanager
def running(folder: Path) -> Iterator[Orthanc]:
    """An empty Orthanc until the block ends; skips where it or the namespace cannot be had."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if not program or not PLUGIN.exists():
        pytest.skip("Orthanc with DICOMweb is not installed: apt-get install orthanc orthanc-dicomweb")
    unshare = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    if subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine gives no network namespaces")
    config = {
        "Name": "test", "StorageDirectory": str(folder / "data"), "IndexDirectory": str(folder / "data"),
        "HttpPort": HTTP, "DicomPort": DICOM, "DicomAet": "ORTHANC", "RemoteAccessAllowed": True,
        "AuthenticationEnabled": False, "DicomCheckCalledAet": False, "Plugins": [str(PLUGIN)],
        "DicomAlwaysAllowStore": True, "DicomWeb": {"Enable": True}, "OverwriteInstances": False,
        "DicomModalities": {"us": ["LUNGCT", "127.0.0.1", OURS]},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(config))
    sockets = {name: folder / name for name in ("http", "dicom", "ours")}
    inside = [f"{sockets['http']}={HTTP}", f"{sockets['dicom']}={DICOM}", f"{OURS}={sockets['ours']}"]
    script = [sys.executable, str(Path(__file__).with_name("forwarding.py"))]
    command = [*unshare, *script, *inside, "--", program, str(folder / "orthanc.json")]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    relays = [Relay.to_socket(sockets["http"]), Relay.to_socket(sockets["dicom"])]
    found = Orthanc(relays[0].port, relays[1].port, sockets["ours"])

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            return bool(found.ask("/system")) and requests.get(f"{found.web}/studies", timeout=5).ok
        except (requests.RequestException, ValueError):
            return False

    try:
        wait_until(answers, 120, "Orthanc answers")
        yield found
    finally:
        for relay in relays:
            relay.close()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
