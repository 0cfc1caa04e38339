"""What the pages on performance and benchmark say of a result."""

import json

import pytest

from lungct_tools.bench import benchmark, load, measurement, rates
from lungct_tools.bench.charts import draw_growth
from lungct_tools.bench.report import MARK, fill_summary, write_page, write_summary
from lungct_tools.bench.targets import CLASSES, GRIDS, JPEG
from tests.support.results import make_result

OPEN, CLOSE = f"<!-- {MARK} -->", f"<!-- end of {MARK} -->"


@pytest.fixture
def result():
    return make_result()


def test_the_summary_names_settings_as_best_only_where_their_intervals_are_apart(result):
    assert "Best of the settings tried: with 32 callers 2 workers x 1 thread." in write_summary(result)
    for found in result["settings"].values():
        found["32"]["rate"] = [100.0, 200.0]
    assert "None of the settings tried is best" in write_summary(result)


def test_the_page_says_which_layout_each_peer_got(result):
    page = write_page(result)
    assert f"## {rates.STOCK}, images/s" in page
    assert "| **2 x 1** | 45.0 |" in page
    assert "| **1 x 2** | 50.0 |" in page


def test_the_page_is_filled_between_its_markers_and_nowhere_else(result):
    part = write_summary(result)
    filled = fill_summary(f"before\n{OPEN}\nold\n{CLOSE}\nafter\n", part)
    assert filled == f"before\n{OPEN}\n{part}\n{CLOSE}\nafter\n"
    assert fill_summary(filled, part) == filled
    with pytest.raises(ValueError, match="no place"):
        fill_summary("no markers", part)


def test_the_page_shows_every_rate_with_its_share_of_the_limit(result):
    page = write_page(result)
    assert all(f"| {name} |" in page for name in result["rates"])
    assert f"| {CLASSES} | 170.0 ± 0.0 | 0.85 ± 0.00 |" in page


def test_the_page_shows_rate_and_latency_by_the_side_of_the_picture(result):
    page = write_page(result)
    assert "| in-process | 300.0 ± 0.0 (51) |" in page
    assert "| served | 250.0 ± 0.0 (122) |" in page
    panels = {(axes.get_xlabel(), axes.get_ylabel()): axes for axes in draw_growth(result).axes}
    drawn = panels["side of the picture, pixels", "p50, ms"].get_legend_handles_labels()[1]
    assert drawn == ["in-process", "served"]


def test_the_page_holds_the_fronts_against_each_other_and_old_results_have_none(result):
    row = "| asgi | 90.0 ± 0.0 | 1.12 ± 0.00 | 10.0 ± 0.0 | 0 | 170.0 ± 0.0 | 1.00 ± 0.00 | 10.0 ± 0.0 | 0 | 450 |"
    assert row in write_page(result)
    del result["fronts"]
    assert "Fronts" not in write_page(result)


def test_the_page_says_how_often_answers_came_at_a_fixed_rate_of_arrivals_with_an_interval(result):
    page = write_page(result)
    assert "| 85 | 0.5 | 85.0 ± 0.0 | 9.0 / 10.0 / 11.0 | 0 |" in page
    assert "after the first 25% of the schedule and before its end" in page


def test_the_limits_of_both_engines_stand_beside_what_they_are_the_best_of(result):
    page = write_page(result)
    assert "| **16 x 2** | 200.0 |" in page
    assert "| **8 x 2** | 90.0 |" in page


def test_every_way_that_did_not_always_answer_is_named(result):
    assert not measurement.list_errors(result)
    result["rates"][JPEG]["errors"] = 1
    result["beside"][GRIDS]["errors"] = 2
    result["open"][0]["errors"] = 3
    result["settings"]["2 workers x 1 thread"]["32"]["errors"] = 4
    result["sides"]["served"]["256"]["errors"] = 5
    assert measurement.list_errors(result) == [
        f"errors of {JPEG}: 1",
        f"errors of {GRIDS}: 2",
        "errors of 85 arrivals/s: 3",
        "errors of 2 workers x 1 thread, 32: 4",
        "errors of served, 256: 5",
    ]


def test_a_way_that_answered_nothing_is_a_failure(result):
    result["rates"][rates.STOCK]["rate"] = [45.0, 0.0]
    assert measurement.list_errors(result) == [f"a rate of zero of {rates.STOCK}"]


@pytest.mark.parametrize("errors", [0, 1])
def test_only_a_run_without_errors_writes_into_docs(result, errors, tmp_path, monkeypatch, run_here):
    result["rates"][JPEG]["errors"] = errors
    monkeypatch.setattr(benchmark, "ROOT", tmp_path)
    monkeypatch.setattr(load, "find_wrk", lambda: True)
    monkeypatch.setattr(measurement, "measure", lambda *_: result)
    page = tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text(f"{OPEN}\nbefore\n{CLOSE}\n")
    code, said = run_here("bench")
    assert code == errors
    assert (f"errors of {JPEG}: 1" in said) == bool(errors)
    assert ("before" in page.read_text()) == bool(errors)
    assert (tmp_path / "docs" / "benchmark.md").exists() == (not errors)
    found = tmp_path / (".run/bench" if errors else "docs") / "benchmark.json"
    assert json.loads(found.read_text())["rates"][JPEG]["errors"] == errors
