"""Targets held against results that are made up, so that each verdict is known."""

import copy

import pytest

from scripts.bench import rates
from scripts.bench.report import CLOSE, OPEN, fill_readme, write_page, write_readme_part
from scripts.bench.stages import REST
from scripts.bench.targets import ALONE, CLASSES, GRIDS, JPEG, judge


def measured(rate, latency=(10.0, 11.0, 12.0)):
    return {"rate": [rate, rate], "latency_ms": [latency, latency], "errors": 0, "load_ms": 0.1}


@pytest.fixture
def result():
    """Everything exactly good enough."""
    parts = {"decode": 1.0, "inference": 2.0, "render": 0.1, REST: 0.4}
    kinds = ("classes, 1 caller", *(f"classes{more}, 32 callers" for more in ("", " + grids", " + JPEG overlay")))
    return {
        "date": "2026-01-01",
        "machine": {"processor": "P", "instructions": ["avx2"], "cores": 2, "python": "3", "torch": "2", "slices": "s"},
        "repeats": 2,
        "quick": False,
        "engine": "openvino-int8",
        "limit": "16 x 2",
        "matrix": {"16 x 2": [200.0]},
        "rates": {
            rates.LIMIT: measured(200.0),
            rates.FP32: measured(50.0),
            rates.FORWARD: measured(40.0),
            rates.SINGLE: measured(100.0),
            ALONE: measured(80.0, (14.0, 15.0, 16.0)),
            CLASSES: measured(170.0),
            GRIDS: measured(162.0),
            JPEG: measured(120.0),
            rates.PAGE_CAM: measured(8.0),
            rates.STOCK: measured(40.0),
            rates.LITSERVE: measured(50.0),
        },
        "open": [
            {"share": 0.5, "asked": 85.0, "rate": 85.0, "latency_ms": [9.0, 10.0, 11.0], "errors": 0, "load_ms": 1}
        ],
        "stages": {kind: parts for kind in kinds},
        "empty_ms": 3.0,
        "sides": {"in-process": {"256": 300.0}, "served": {"256": 250.0}},
        "settings": {"batch 16, delay 1 ms": {"1": {"rate": 80.0, "p50": 14.0}}},
        "best_settings": "batch 16, delay 1 ms",
        "endurance": {"requests": 10_000, "errors": 0, "early_mb": 500.0, "late_mb": 510.0},
        "cold": {"make serve": [8.0, 9.0], "worker killed": [4.0, 5.0]},
    }


def test_what_is_just_good_enough_is_met(result):
    assert [verdict.name for verdict in judge(result) if verdict.met is False] == []


@pytest.mark.parametrize(
    ("way", "word"),
    [
        (rates.LIMIT, "in-process limit"),
        (CLASSES, "of the limit"),
        (GRIDS, "grids, of"),
        (JPEG, "JPEG"),
        (CLASSES, "image_classifier"),
    ],
)
def test_a_rate_that_is_too_low_is_a_miss_that_says_where_the_time_goes(result, way, word):
    result["rates"][way]["rate"] = [10.0, 10.0]
    missed = [verdict for verdict in judge(result) if verdict.met is False]
    found = next(verdict for verdict in missed if word in verdict.name)
    assert "2.0 ms inference" in found.why
    assert f"missed: {found.why}" in write_readme_part(result)


def test_a_caller_that_waits_too_long_memory_that_grows_and_one_error_are_misses(result):
    worse = copy.deepcopy(result)
    worse["rates"][ALONE]["latency_ms"] = [(14.2, 15.0, 16.0)] * 2
    assert [verdict.name for verdict in judge(worse) if verdict.met is False] == ["one caller, p50"]
    for change in ({"late_mb": 516.0}, {"errors": 1}):
        result["endurance"] |= change
        assert [verdict.name for verdict in judge(result) if verdict.met is False] == [
            "10,000 requests, no PNG overlays"
        ]
        result["endurance"] |= {"late_mb": 510.0, "errors": 0}


def test_a_missed_speed_up_names_the_instructions_that_the_processor_lacks(result):
    result["rates"][rates.LIMIT] = measured(100.0)
    (verdict,) = [each for each in judge(result) if each.name.startswith("in-process limit")]
    assert "no VNNI and no bf16" in verdict.why


def test_readme_is_filled_between_its_markers_and_nowhere_else(result):
    part = write_readme_part(result)
    filled = fill_readme(f"before\n{OPEN}\nold\n{CLOSE}\nafter\n", part)
    assert filled == f"before\n{OPEN}\n{part}\n{CLOSE}\nafter\n"
    assert fill_readme(filled, part) == filled
    with pytest.raises(ValueError, match="no place"):
        fill_readme("no markers", part)


def test_the_page_shows_every_rate_with_its_share_of_the_limit(result):
    page = write_page(result)
    assert all(f"| {name} |" in page for name in result["rates"])
    assert f"| {CLASSES} | 170.0 ± 0.0 | 0.85 ± 0.00 |" in page
