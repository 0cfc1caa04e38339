"""The benchmark as a user runs it: short, on real servers and peers; its pages say what the last whole run found."""

import json
import os

import pytest
import requests

from lungct_client import Client
from lungct_tools import ROOT
from lungct_tools.bench import endurance
from lungct_tools.bench.estimate import Sample
from lungct_tools.bench.load import WRK_MISSING, find_wrk
from lungct_tools.bench.rates import Plan, read_engine
from lungct_tools.bench.report import fill_summary, write_page, write_summary
from lungct_tools.bench.servers import aim, serve
from lungct_tools.bench.slices import COUNT, draw_slices
from lungct_tools.bench.targets import CLASSES, GRIDS, JPEG
from tests.conftest import run_script


def test_the_slices_are_as_large_as_those_of_the_training_data():
    slices = draw_slices()
    assert len(set(slices)) == COUNT
    assert all(125_000 < len(each) < 160_000 for each in slices)


def test_both_pages_are_what_the_last_result_says():
    result = json.loads((ROOT / "docs" / "benchmark.json").read_text())
    page = (ROOT / "docs" / "performance.md").read_text()
    assert fill_summary(page, write_summary(result)) == page
    assert write_page(result) == (ROOT / "docs" / "benchmark.md").read_text()


def test_a_folder_without_slices_and_a_machine_without_wrk_are_told_so(tmp_path, run_here, monkeypatch):
    code, said = run_here("bench", "--slices", tmp_path)
    assert code == 2
    assert "holds no JPEG files" in said
    monkeypatch.setenv("PATH", "")
    code, said = run_here("bench", "--quick")
    assert code == 2
    assert WRK_MISSING in said


def test_the_requests_that_memory_is_looked_at_after_are_rounds_of_each_kind_and_rates(tmp_path, monkeypatch):
    sent = []

    def run_served(instance, slices, options, callers, seconds):
        sent.append(options.get("X-Heatmap-Format", "classes"))
        return Sample(50.0, errors=int(len(sent) == 3), answered=100)

    monkeypatch.setattr(endurance, "run_served", run_served)
    monkeypatch.setattr(endurance, "measure_memory", lambda _: 200.0 + len(sent))
    plan = Plan([b""], 1, 1, 2, tmp_path, quick=False)
    found, samples = endurance.endure(None, plan, requests=1_000)
    assert found == endurance.Endurance(1_000, 1, 204.0, 210.0)
    rounds = [sent[start : start + 3] for start in (1, 4, 7)]  # after a warm-up
    assert [sorted(each) for each in rounds] == [["classes", "grid", "jpeg"]] * 3
    assert {name: len(each) for name, each in samples.items()} == {CLASSES: 3, GRIDS: 3, JPEG: 3}
    _, samples = endurance.endure(None, plan, requests=1)
    assert {name: len(each) for name, each in samples.items()} == {CLASSES: 1, GRIDS: 1, JPEG: 1}


@pytest.mark.server
def test_a_measured_server_has_fresh_tokens_and_keeps_to_the_cpu_of_a_machine_with_a_gpu(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"  # what TorchServe counts GPUs with
    tool.write_text("#!/bin/sh\necho index\necho 0\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with serve(tmp_path / "run", {}) as instance:
        assert read_engine(instance).startswith("openvino")
        assert [worker["gpu"] for worker in Client(instance).describe()["workers"]] == [False]
        slices = draw_slices(count=1)
        before, after = (aim(instance, slices, {}) for _ in range(2))
        answers = [
            requests.post(each.url, each.bodies[0], headers=dict(each.headers), timeout=30) for each in (before, after)
        ]
        assert [answer.status_code for answer in answers] == [400, 200]


@pytest.mark.ops
@pytest.mark.server
@pytest.mark.timeout(1800)  # five minutes alone
@pytest.mark.skipif(not find_wrk(), reason=WRK_MISSING)
def test_a_quick_run_measures_every_way_and_leaves_the_pages_alone(tmp_path):
    page = (ROOT / "docs" / "performance.md").read_bytes()
    done = run_script("bench", "--quick", "--out", tmp_path, timeout_s=1780)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / "benchmark.json").read_text())
    assert all(rate > 0 for found in result["rates"].values() for rate in found["rate"])
    assert {"TorchServe image_classifier", "LitServe", "original page, classes + Grad-CAM"} <= set(result["rates"])
    assert all(milliseconds > 0 for parts in result["stages"].values() for milliseconds in parts.values())
    grown = [each for group in ("settings", "sides") for by_size in result[group].values() for each in by_size.values()]
    assert all(each["p50"][0] > 0 for each in grown)
    assert {"served classes, 1 caller", CLASSES, GRIDS} <= set(result["beside"])
    assert all(front["memory_mb"] > 100 for front in result["fronts"].values())
    assert all(each["rate"][0] > 0 for front in result["fronts"].values() for each in front["callers"].values())
    assert len(result["cold"]["worker killed"]) == 1
    for picture in ("benchmark.png", "benchmark-stages.png", "benchmark-growth.png"):
        assert (tmp_path / picture).stat().st_size > 5_000
    assert (ROOT / "docs" / "performance.md").read_bytes() == page
