"""Stands in for nvgpu, which TorchServe's metric collector imports where there is a GPU and does not declare.

Without it no metric of the machine is collected, not even those of the CPU. nvgpu itself wants flask and pandas, and
reads nvidia-smi's table for people, which changes with the driver. Nothing here may raise, for the same reason.
"""

import shutil
import subprocess
from types import SimpleNamespace

FIELDS = ("index", "memory.used", "memory.total", "utilization.gpu")


def read_gpus() -> list[dict[str, str]]:
    """What nvidia-smi says of each GPU: MB and percent; [] when it fails."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    command = [tool, f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [dict(zip(FIELDS, line.split(", "), strict=False)) for line in told.splitlines()]


def is_known(gpu: dict[str, str], *fields: str) -> bool:
    """Whether these are numbers: [N/A] stands for what a GPU does not tell, such as the load of one in parts."""
    return all(gpu.get(field, "").isdecimal() for field in fields)


def gpu_info() -> list[dict[str, object]]:
    """Memory of each GPU."""
    told = [gpu for gpu in read_gpus() if is_known(gpu, "memory.used", "memory.total")]
    return [
        {
            "index": gpu["index"],
            "mem_used": int(gpu["memory.used"]),
            "mem_used_percent": 100 * int(gpu["memory.used"]) / int(gpu["memory.total"]),
        }
        for gpu in told
    ]


def device_statuses() -> list[dict[str, int]]:
    """Load of each GPU; of none if one does not tell, since TorchServe knows them by their place in this list."""
    gpus = read_gpus()
    known = all(is_known(gpu, "utilization.gpu") for gpu in gpus)
    return [{"utilization": int(gpu["utilization.gpu"])} for gpu in gpus] if known else []


list_gpus = SimpleNamespace(device_statuses=device_statuses)  # a module of the real package
