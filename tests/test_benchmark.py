"""The benchmark as a user runs it: short, on real servers and peers; and README says what its last whole run found."""

import json

import pytest

from scripts.bench.load import WRK_MISSING, find_wrk
from scripts.bench.report import fill_readme, write_page, write_readme_part
from scripts.bench.slices import COUNT, draw_slices
from scripts.instance import ROOT
from tests.conftest import run_script


def test_the_slices_are_as_large_as_those_of_the_training_data():
    slices = draw_slices()
    assert len(set(slices)) == COUNT
    assert all(125_000 < len(each) < 160_000 for each in slices)


def test_readme_and_page_are_what_the_last_result_says():
    result = json.loads((ROOT / "docs" / "benchmark.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert fill_readme(readme, write_readme_part(result)) == readme
    assert write_page(result) == (ROOT / "docs" / "benchmark.md").read_text()


def test_a_folder_without_slices_and_a_machine_without_wrk_are_told_so(tmp_path, run_here, monkeypatch):
    code, said = run_here("benchmark", "--slices", tmp_path)
    assert code == 2
    assert "holds no JPEG files" in said
    monkeypatch.setenv("PATH", "")
    code, said = run_here("benchmark", "--quick")
    assert code == 2
    assert WRK_MISSING in said


@pytest.mark.ops
@pytest.mark.server
@pytest.mark.timeout(600)
@pytest.mark.skipif(not find_wrk(), reason=WRK_MISSING)
def test_a_quick_run_measures_every_way_and_leaves_readme_alone(tmp_path):
    readme = (ROOT / "README.md").read_bytes()
    done = run_script("benchmark", "--quick", "--out", tmp_path, timeout_s=580)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / "benchmark.json").read_text())
    assert all(rate > 0 for found in result["rates"].values() for rate in found["rate"])
    assert {"TorchServe image_classifier", "LitServe", "original page, classes + Grad-CAM"} <= set(result["rates"])
    assert all(milliseconds > 0 for parts in result["stages"].values() for milliseconds in parts.values())
    assert len(result["cold"]["worker killed"]) == 1
    for picture in ("benchmark.png", "benchmark-stages.png", "benchmark-growth.png"):
        assert (tmp_path / picture).stat().st_size > 5_000
    assert (ROOT / "README.md").read_bytes() == readme
