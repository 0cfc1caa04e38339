"""What `lungct bulk` costs, measured in small."""

import re
import subprocess
import sys

import pytest
from PIL import Image

pytestmark = [pytest.mark.server, pytest.mark.ops]


def run_bench(module, *words):
    """The cells of the table that it prints, line by line."""
    command = [sys.executable, "-P", "-m", f"lungct_tools.bench.{module}", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_cost_of_a_bulk_run_is_told_and_drawn_by_files_and_shards(tmp_path):
    out = tmp_path / "cost.json"
    words = ("--shards", 2, "--kinds", "jpeg", "--seconds", 0.2, "--out", out)
    before = run_bench("bulk", "--files", 20, *words)
    rows = run_bench("bulk", "--files", 60, *words)
    assert rows[:1] == before, "what was measured before is kept"
    assert [row[:3] for row in rows] == [["jpeg", "20", "2 x 1"], ["jpeg", "60", "2 x 1"]]
    for row in rows:
        assert all(float(number) > 0 for cell in row[3:] for number in re.findall(r"[\d.]+", cell.replace(",", "")))
    with Image.open(out.with_suffix(".png")) as drawn:
        assert drawn.width > drawn.height > 100


def test_a_bulk_run_is_held_against_the_pipeline_alone_and_against_score():
    (row,) = run_bench("bulkspeed", "--files", 96, "--repeats", 1, "--kinds", "dicom")
    kind, alone, run, score, of_alone, of_score = row
    assert kind == "dicom"
    assert float(run) / float(alone) == pytest.approx(float(of_alone), rel=0.02, abs=0.02)
    assert float(run) / float(score) == pytest.approx(float(of_score), rel=0.02, abs=0.02)
