"""The image built from Containerfile and run confined, by podman and runc, on a base of Debian's packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from lungct_tools import ROOT

TOOLS = ("podman", "runc", "mmdebstrap")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
USER = 10001  # of the image


def require_tools() -> None:
    """Skip the test where images cannot be built and run."""
    if os.getuid() or (missing := [tool for tool in TOOLS if shutil.which(tool) is None]):
        pytest.skip("needs root" if os.getuid() else f"needs {', '.join(missing)}")


@dataclass(frozen=True)
class Podman:
    """podman with images and containers of its own in `folder`."""

    folder: Path

    @property
    def store(self) -> list[str]:
        """Options that every call has."""
        return [f"--root={self.folder / 'images'}", f"--runroot={self.folder / 'run'}", "--runtime=runc"]

    def __call__(self, *arguments: object, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        command = ["podman", *self.store, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)

    def do(self, *arguments: object, timeout_s: float = 120) -> str:
        done = self(*arguments, timeout_s=timeout_s)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.strip()

    def make_base(self) -> str:
        """Debian with Python, without its documentation, that trusts whom this machine trusts."""
        tar = self.folder / "base.tar"
        without = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man", "locale")]
        packages = "--include=ca-certificates,python3,python3-venv"
        trust = f"--customize-hook=copy-in {CERTIFICATES} {CERTIFICATES.parent}"
        command = ["mmdebstrap", "--quiet", "--variant=minbase", packages, *without, trust, "bookworm", str(tar)]
        subprocess.run(command, check=True, timeout=580)
        changes = [f"--change=ENV={name}={CERTIFICATES}" for name in ("SSL_CERT_FILE", "PIP_CERT")]
        self.do("import", *changes, tar, "base:test", timeout_s=120)
        tar.unlink()
        return "localhost/base:test"

    def build(self, base: str) -> str:
        """The image, as `make image` builds it but for the base."""
        options = ("--isolation=chroot", "--network=host", "--format=docker", f"--build-arg=BASE={base}")
        self.do("build", *options, "--file", ROOT / "Containerfile", "--tag", "lung-ct:test", ROOT, timeout_s=580)
        return "lung-ct:test"

    def inspect(self, what: str) -> Mapping[str, Any]:
        return json.loads(self.do("inspect", what))[0]

    def clear(self) -> None:
        """Remove containers, images and their mounts."""
        self("rm", "--force", "--all", "--time", "0")
        self("volume", "rm", "--force", "--all")
        self("rmi", "--force", "--all", timeout_s=120)


def reach(url: str, method: str = "GET", **options: Any) -> int:
    """The status that comes back; 0 when nobody answers there."""
    try:
        return requests.request(method, url, verify=False, timeout=20, **options).status_code  # noqa: S501 self-signed
    except requests.RequestException:
        return 0
