"""The share of the int8 peak: what a slice asks for by arithmetic, and a table that adds up."""

import re
import subprocess
import sys

import pytest

from lungct_tools.bench.ceiling import count_products

# ResNet18 with a last layer of 512 x 1,000: 1,814,073,344 (He et al. 2016 tell 1.8e9). Ours has one channel, not three,
# at the first convolution.
STEM = 64 * 49 * 112 * 112
CONVOLUTIONS = 1_814_073_344 - 512 * 1000 - 2 * STEM


def test_multiplications_of_a_slice_are_those_of_the_convolutions_of_resnet18_with_one_channel(folder):
    assert count_products(folder.network, 224) == CONVOLUTIONS


def test_four_times_the_pixels_are_four_times_the_work(folder):
    assert count_products(folder.network, 448) == 4 * CONVOLUTIONS


def test_the_table_tells_the_network_what_was_measured_and_what_the_clock_allows():
    command = [sys.executable, "-P", "-m", "lungct_tools.bench.ceiling", "--seconds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in done.stdout.splitlines()[2:]]
    reached = float(rows[0][1])
    assert re.fullmatch(r"the network by openvino-\S+, 1\.73 a slice", rows[0][0])
    for _, most, share in rows[1:]:
        assert float(share) == pytest.approx(reached / float(most), abs=0.02)
