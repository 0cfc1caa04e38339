"""The GPUs that workers share: how many, counted as TorchServe does, and those that it could not read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess


def count_gpus(limit: str | None) -> int:
    """GPUs that CUDA_VISIBLE_DEVICES names, or nvidia-smi lists; `limit` is number_of_gpu of the settings."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    program = shutil.which("nvidia-smi")
    if limit == "0" or program is None:
        return 0
    if named is not None:
        seen = sum(name.isdecimal() for name in named.split(","))
    else:
        done = subprocess.run([program, "-L"], capture_output=True, text=True, check=False)
        seen = sum(line.startswith("GPU ") for line in done.stdout.splitlines())
    return min(seen, int(limit)) if limit else seen


def find_unreadable_gpus() -> list[str]:
    """Entries of CUDA_VISIBLE_DEVICES that end TorchServe 0.12 at its start, which reads numbers alone."""
    names = filter(None, os.environ.get("CUDA_VISIBLE_DEVICES", "").split(","))
    return [name for name in names if not re.fullmatch(r"-?[0-9]+", name)]
