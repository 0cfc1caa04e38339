"""What an operator may set: the `handler:` section of model-config.yaml, checked once at start; the cores there are."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

# What the setting of that name may be; "auto" takes the fastest of the others that agrees.
ENGINES = ("auto", "torch-gpu", "openvino-int8-bf16", "openvino-int8", "openvino-bf16", "openvino-fp32", "torch")


@dataclass(frozen=True)
class Settings:
    """Limits and switches of one worker.

    Attributes:
        engine: one of ENGINES; nothing stands in for one that is asked for by name.
        threads: CPU threads for decoding and for the network; workers x threads should equal the cores. 0: they do.
        max_bytes: largest accepted file, bytes.
        max_pixels: largest accepted rows x columns, checked before decoding.
        max_side: largest accepted rows or columns.
        library_cams: allow the Grad-CAM methods of the grad-cam package, which cost a backward pass or more a slice.
    """

    engine: str = "auto"
    threads: int = 0
    max_bytes: int = 32 * 2**20
    max_pixels: int = 16_000_000
    max_side: int = 8192
    library_cams: bool = False

    @classmethod
    def read(cls, section: Mapping[str, Any]) -> Settings:
        """Settings from the `handler:` mapping; ValueError for a key or a type we do not know."""
        known = {f.name: type(f.default) for f in fields(cls)}
        for name, given in section.items():
            if name not in known:
                raise ValueError(f"model-config.yaml: unknown handler setting {name!r}; known are {sorted(known)}.")
            if type(given) is not known[name]:
                raise ValueError(f"model-config.yaml: handler setting {name!r} must be {known[name].__name__}.")
        return cls(**section)


def list_given_folders() -> list[str]:
    """The absolute folders of PYTHONPATH, to be handed on to a child.

    An empty or relative entry means the working directory: whatever lies there would be imported.
    """
    return list(filter(os.path.isabs, os.environ.get("PYTHONPATH", "").split(os.pathsep)))


def count_cores(root: Path = Path("/")) -> int:
    """Cores that this process may use: its affinity, and no more than the CPU quota of its control groups (version 2).

    In a container with a limit of 2 CPUs the affinity still names all cores of the machine; a thread for each would
    spend the quota at once, and all would stand still for the rest of the period.
    """
    cores = len(os.sched_getaffinity(0))
    try:
        group = re.search(r"^0::/(.*)$", (root / "proc/self/cgroup").read_text(), re.MULTILINE)
    except OSError:
        return cores
    top = root / "sys/fs/cgroup"
    place = top / group[1] if group else top
    for folder in (place, *place.parents[: len(place.parts) - len(top.parts)]):  # a parent's quota binds as well
        limit = folder / "cpu.max"
        quota, period = limit.read_text().split() if limit.is_file() else ("max", "")
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    return cores
