"""Programs of the system that the gateway needs, for the bill of materials: nginx, its OpenSSL, setpriv."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import Any

# What is run -> how each component tells its version there.
TELLING = {
    "nginx": (("-V",), {"nginx": r"nginx version: nginx/(\S+)", "openssl": r"(?:running|built) with OpenSSL (\S+)"}),
    "setpriv": (("--version",), {"util-linux": r"util-linux (\S+)"}),
}


def describe_programs() -> list[dict[str, Any]]:
    """One component for each that is installed here; the gateway starts with no other."""
    found = []
    for program, (options, patterns) in TELLING.items():
        path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
        if path is None:
            continue
        done = subprocess.run([path, *options], capture_output=True, text=True, check=True)
        for name, pattern in patterns.items():
            if told := re.findall(pattern, done.stdout + done.stderr):
                found.append(describe_program(name, told[-1]))
    return found


def describe_program(name: str, number: str) -> dict[str, Any]:
    """A component without a package's address: which distribution packed it is not told."""
    kept = {"name": "lung-ct:version-from", "value": "the program itself"}
    return {"type": "application", "bom-ref": f"system:{name}", "name": name, "version": number, "properties": [kept]}
