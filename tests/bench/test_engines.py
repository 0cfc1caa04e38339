"""The scripts that measure engines and their streams."""

import re
import sys

import pytest

from lungct_tools.bench import engines, streams
from tests.conftest import MODEL


def test_with_a_gpu_the_measuring_script_tells_its_rates_by_batch_and_its_card_and_driver(monkeypatch, capsys):
    measured = []

    def pretend(setup, seconds, model):
        measured.append((setup.workers, setup.batch))
        rates = {f"{way} {key}": 1 for way in ("forward", "pipeline") for key in ("rate", "per_cpu_second")}
        return {"engine": "torch-cuda-fp16", **rates, "megabytes": 1}

    monkeypatch.setattr(engines, "list_cards", lambda: ["NVIDIA Example, 580.1"])
    monkeypatch.setattr(engines, "run_workers", pretend)
    monkeypatch.setattr(sys, "argv", ["engines.py", "--engines", "torch-gpu"])
    assert engines.main() == 0
    output = capsys.readouterr().out
    assert measured == [(workers, batch) for workers in (1, 2) for batch in (1, 4, 16, 64, 256)]
    assert "NVIDIA Example, 580.1" in output
    assert "| 256 | torch-cuda-fp16 | 1 x " in output


def test_a_worker_of_the_measuring_script_scores_batches_of_the_size_asked_for(folder, monkeypatch):
    sizes = []
    monkeypatch.setattr(engines, "measure", lambda work, batch, seconds: sizes.append((batch, work())))
    engines.run_worker("openvino-fp32", 2, 3, 0.1, MODEL)
    (forward, prediction), (pipeline, scored) = sizes
    assert (forward, len(prediction.logits), pipeline, len(scored.replies)) == (3, 3, 3, 3)
    assert {reply.status for reply in scored.replies} == {200}


def test_the_streams_script_shows_a_rate_for_each_way_and_marks_the_one_that_serves(monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["streams.py", "--engine", "openvino-fp32", "--threads", "2", "--seconds", "0", "--repeats", "1"]
    )
    assert streams.main() == 0
    rows = re.findall(r"^\| (\d x \d+(?: \(as served\))?) \| (\d+) \|$", capsys.readouterr().out, re.MULTILINE)
    assert [way for way, _ in rows] == ["1 x 1", "1 x 4", "1 x 16", "2 x 1 (as served)", "2 x 4", "2 x 8"]
    assert all(int(rate) > 0 for _, rate in rows)


def test_an_engine_without_streams_is_named_as_such(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["streams.py", "--engine", "torch"])
    with pytest.raises(SystemExit, match="2"):
        streams.main()
    assert "torch has no streams" in capsys.readouterr().err
