"""Targets held against results that are made up, so that each verdict is known."""

import copy

import pytest

from scripts.bench import rates
from scripts.bench.report import CLOSE, OPEN, fill_readme, write_page, write_readme_part
from scripts.bench.stages import REST
from scripts.bench.targets import ALONE, CLASSES, GRIDS, JPEG, Word, judge


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
            rates.FORWARD: measured(40.0),
            rates.SINGLE: measured(100.0),
            ALONE: measured(80.0, (14.0, 15.0, 16.0)),
            CLASSES: measured(170.0),
            rates.FP32: measured(80.0),
            GRIDS: measured(162.0),
            JPEG: measured(120.0),
            rates.PAGE: measured(20.0),
            rates.PAGE_CAM: measured(8.0),
            rates.STOCK: measured(40.0),
            rates.LITSERVE: measured(50.0),
        },
        "open": [
            {"share": 0.5, "asked": 85.0, "rate": 85.0, "latency_ms": [9.0, 10.0, 11.0], "errors": 0, "load_ms": 1}
        ],
        "stages": {kind: parts for kind in kinds},
        "empty_ms": 3.0,
        "peers": {
            rates.STOCK: {"1 x 2": [40.0], "2 x 1": [45.0]},
            rates.LITSERVE: {"1 x 2": [50.0], "2 x 1": [49.0]},
        },
        "sides": {"in-process": {"256": [300.0, 300.0]}, "served": {"256": [250.0, 250.0]}},
        "settings": {
            "batch 16, delay 1 ms": {
                "1": {"rate": [80.0, 82.0], "p50": [14.0, 14.0]},
                "32": {"rate": [160.0, 160.0], "p50": [200.0, 200.0]},
            },
            "2 workers x 1 thread": {
                "1": {"rate": [79.0, 83.0], "p50": [14.0, 14.0]},
                "32": {"rate": [175.0, 175.0], "p50": [180.0, 180.0]},
            },
        },
        "endurance": {"requests": 10_000, "errors": 0, "early_mb": 500.0, "late_mb": 510.0},
        "cold": {"make serve": [8.0, 9.0], "worker killed": [4.0, 5.0]},
    }


def list_named(result, word):
    return [verdict.name for verdict in judge(result) if verdict.word == word]


def test_what_is_just_good_enough_is_met(result):
    assert not list_named(result, Word.MISSED)
    assert not list_named(result, Word.OPEN)
    assert len(list_named(result, Word.MET)) == 8


RATIOS = [
    (rates.LIMIT, rates.FORWARD, 5, "in-process limit"),
    (CLASSES, rates.LIMIT, 0.85, "of the limit"),
    (GRIDS, CLASSES, 0.95, "grids, of"),
    (JPEG, CLASSES, 0.70, "JPEG"),
    (GRIDS, rates.PAGE_CAM, 20, "with Grad-CAM"),
    (CLASSES, rates.STOCK, 4, "classes against TorchServe's image_classifier"),
]


@pytest.mark.parametrize(("way", "reference", "least", "name"), RATIOS)
@pytest.mark.parametrize(
    ("factors", "word"),
    [
        ((1.00, 1.01, 1.02, 1.03), Word.OPEN),  # the mean is above, the lower end is not
        ((0.97, 0.98, 0.99, 1.00), Word.OPEN),  # the mean is below, the upper end is not
        ((1.05, 1.06, 1.05, 1.06), Word.MET),
        ((0.94, 0.95, 0.94, 0.95), Word.MISSED),
        ((1.05,), Word.SINGLE),
    ],
)
def test_a_ratio_is_met_or_missed_only_where_its_whole_interval_says_so(
    result, way, reference, least, name, factors, word
):
    for found in result["rates"].values():
        found["rate"] = [found["rate"][0]] * len(factors)
    result["rates"][way]["rate"] = [factor * least * result["rates"][reference]["rate"][0] for factor in factors]
    (verdict,) = [verdict for verdict in judge(result) if name in verdict.name]
    assert verdict.word == word


def test_an_open_verdict_says_what_that_means(result):
    result["rates"][CLASSES]["rate"] = [160.0, 180.0]
    assert "| open: the interval holds the target |" in write_readme_part(result)


def test_a_caller_that_waits_too_long_memory_that_grows_and_one_error_are_misses(result):
    worse = copy.deepcopy(result)
    worse["rates"][ALONE]["latency_ms"] = [(14.2, 15.0, 16.0)] * 2
    assert list_named(worse, Word.MISSED) == ["one caller, p50"]
    for change in ({"late_mb": 516.0}, {"errors": 1}):
        result["endurance"] |= change
        assert list_named(result, Word.MISSED) == ["10,000 requests, no PNG overlays"]
        result["endurance"] |= {"late_mb": 510.0, "errors": 0}


def test_what_a_caller_waits_more_is_open_while_its_interval_holds_the_limit(result):
    result["rates"][ALONE]["latency_ms"] = [(13.0, 15.0, 16.0), (14.6, 15.0, 16.0)]
    assert list_named(result, Word.OPEN) == ["one caller, p50"]


def test_each_reason_stands_once_below_the_table_and_is_pointed_to(result):
    result["rates"][rates.LIMIT] = measured(100.0)
    result["rates"][rates.STOCK] = measured(100.0)
    result["rates"][ALONE]["latency_ms"] = [(19.0, 20.0, 21.0)] * 2
    part = write_readme_part(result)
    assert part.count("no VNNI and no bf16") == 1
    assert part.count("| missed (1) |") == 2
    assert part.count("| missed (2) |") == 1
    assert "\n1. The processor has no VNNI" in part
    assert "\n2. TorchServe with an empty handler takes 3.0 ms" in part
    assert part.count("| decode | inference | render |") == 1


def test_our_server_in_fp32_tells_quantisation_and_serving_apart(result):
    part = write_readme_part(result)
    assert "| served classes in fp32 against image_classifier |  | 2.0 ± 0.0 | for comparison |" in part
    assert "| served classes in fp32 against the original page's classes |  | 4.0 ± 0.0 | for comparison |" in part


def test_readme_names_settings_as_best_only_where_their_intervals_are_apart(result):
    assert "Best of the settings tried: with 32 callers 2 workers x 1 thread." in write_readme_part(result)
    for found in result["settings"].values():
        found["32"]["rate"] = [100.0, 200.0]
    assert "None of the settings tried is best" in write_readme_part(result)


def test_the_page_says_which_layout_each_peer_got(result):
    page = write_page(result)
    assert f"## {rates.STOCK}, images/s" in page
    assert "| **2 x 1** | 45.0 |" in page
    assert "| **1 x 2** | 50.0 |" in page


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
