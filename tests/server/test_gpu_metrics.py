"""What TorchServe's machine metrics say of GPUs, as a stand-in for nvidia-smi tells them."""

import pytest
import yaml

from lungct_tools import ROOT
from tests.support.watching import collect

pytestmark = pytest.mark.ops


def test_gpus_are_measured_without_the_packages_that_torchserve_forgot_to_ask_for(tmp_path):
    found = collect(tmp_path, "echo '0, 1024, 4096, 37'; echo '1, 0, 4096, 0'")
    gauges = yaml.safe_load((ROOT / "config" / "metrics.yaml").read_text())["ts_metrics"]["gauge"]
    assert {name for name, _ in found} <= {metric["name"] for metric in gauges}
    of_gpus = {key: value for key, value in found.items() if key[0].startswith("GPU")}
    assert of_gpus == {
        ("GPUMemoryUtilization", "Level:Host,device_id:0"): 25,
        ("GPUMemoryUsed", "Level:Host,device_id:0"): 1024,
        ("GPUUtilization", "Level:Host,device_id:0"): 37,
        ("GPUMemoryUtilization", "Level:Host,device_id:1"): 0,
        ("GPUMemoryUsed", "Level:Host,device_id:1"): 0,
        ("GPUUtilization", "Level:Host,device_id:1"): 0,
    }


@pytest.mark.parametrize("answer", ["exit 9", "echo 'Failed to initialize NVML'", "echo '0, [N/A], [N/A], [N/A]'"])
def test_a_gpu_that_tells_nothing_does_not_take_the_machines_other_metrics_along(tmp_path, answer):
    names = {name for name, _ in collect(tmp_path, answer)}
    assert {"CPUUtilization", "MemoryUtilization", "DiskUtilization"} <= names
    assert not any(name.startswith("GPU") for name in names)
