"""Targets held against a result that is made up."""

import copy

import pytest

from lungct_tools.bench import rates
from lungct_tools.bench.report import write_page, write_summary
from lungct_tools.bench.targets import CLASSES, GRIDS, JPEG, Word, judge
from tests.support.results import make_result, measured


@pytest.fixture
def result():
    return make_result()


def list_named(result, word):
    return [verdict.name for verdict in judge(result) if verdict.word == word]


def test_what_is_just_good_enough_is_met(result):
    assert not list_named(result, Word.MISSED)
    assert not list_named(result, Word.OPEN)
    assert len(list_named(result, Word.MET)) == 8


RATIOS = [
    ("rates", rates.LIMIT, rates.FORWARD, 5, "in-process limit against"),
    ("rates", CLASSES, rates.LIMIT, 0.85, "32 callers, of the limit"),
    ("beside", GRIDS, CLASSES, 0.95, "grids, of"),
    ("rates", JPEG, CLASSES, 0.70, "JPEG"),
    ("rates", GRIDS, rates.PAGE_CAM, 20, "with Grad-CAM"),
    ("rates", CLASSES, rates.STOCK, 4, "classes against TorchServe's image_classifier"),
]


@pytest.mark.parametrize(("part", "way", "reference", "least", "name"), RATIOS)
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
    result, part, way, reference, least, name, factors, word
):
    measured = result[part]
    for found in measured.values():
        found["rate"] = [found["rate"][0]] * len(factors)
    measured[way]["rate"] = [factor * least * measured[reference]["rate"][0] for factor in factors]
    (verdict,) = [verdict for verdict in judge(result) if name in verdict.name and verdict.target]
    assert verdict.word == word


def test_an_open_verdict_says_what_that_means(result):
    result["rates"][CLASSES]["rate"] = [160.0, 180.0]
    assert "| open: the interval holds the target |" in write_summary(result)


def test_a_caller_that_waits_too_long_memory_that_grows_and_one_error_are_misses(result):
    worse = copy.deepcopy(result)
    worse["beside"][rates.ALONE]["latency_ms"] = [(14.2, 15.0, 16.0)] * 2
    assert list_named(worse, Word.MISSED) == ["one caller, p50"]
    for change in ({"late_mb": 516.0}, {"errors": 1}):
        result["endurance"] |= change
        assert list_named(result, Word.MISSED) == ["10,000 requests, no PNG overlays"]
        result["endurance"] |= {"late_mb": 510.0, "errors": 0}


def test_what_a_caller_waits_more_is_open_while_its_interval_holds_the_limit(result):
    result["beside"][rates.ALONE]["latency_ms"] = [(13.0, 15.0, 16.0), (14.6, 15.0, 16.0)]
    assert list_named(result, Word.OPEN) == ["one caller, p50"]


def test_each_reason_stands_once_below_the_table_and_is_pointed_to(result):
    result["rates"][rates.LIMIT] = measured(100.0)
    result["rates"][rates.STOCK] = measured(100.0)
    result["beside"][rates.ALONE]["latency_ms"] = [(19.0, 20.0, 21.0)] * 2
    part = write_summary(result)
    assert part.count("no VNNI and no bf16") == 1
    assert part.count("| missed (1) |") == 2
    assert part.count("| missed (2) |") == 1
    assert "\n1. The processor has no VNNI" in part
    assert "\n2. TorchServe with an empty handler takes 3.0 ms" in part
    assert part.count("| decode | inference | render |") == 1


def test_a_miss_of_a_processor_that_lacks_nothing_is_told_by_what_the_network_alone_takes(result):
    result["machine"]["instructions"] = ["avx512_vnni", "avx512_bf16"]
    result["rates"][rates.LIMIT] = measured(150.0)
    part = write_summary(result)
    assert (
        "| the same without decoding, JSON and the rest: forward only, both |  | 6.2 ± 0.0 | for comparison |" in part
    )
    assert "the network still takes 60 % of a slice's time in-process; without all else it would be 6.2 x" in part


def test_our_server_in_fp32_tells_quantisation_and_serving_apart(result):
    part = write_summary(result)
    assert "| served classes in fp32 against image_classifier |  | 2.0 ± 0.0 | for comparison |" in part
    assert "| served classes in fp32 against the original page's classes |  | 4.0 ± 0.0 | for comparison |" in part
    assert "| in-process limit in fp32 against eager fp32 torch, forward only |  | 2.5 ± 0.0 | for comparison |" in part
    assert "| served classes in fp32, 32 callers, of the limit in fp32 |  | 0.80 ± 0.00 | for comparison |" in part


def test_grids_in_fp32_stand_right_below_the_grids_that_are_held_against_the_page_with_its_maps(result):
    lines = write_summary(result).splitlines()
    (row,) = [number for number, line in enumerate(lines) if "against the original page with Grad-CAM" in line]
    assert lines[row + 1] == "| served classes + grids in fp32 against the same |  | 9.5 ± 0.0 | for comparison |"


def test_what_differs_by_little_is_judged_by_turns_beside_each_other(result):
    result["rates"][GRIDS] = measured(190.0)
    reached = {verdict.name: verdict.reached for verdict in judge(result)}
    assert reached["served classes + grids, of served classes"] == "0.95 ± 0.00"
    assert f"| {GRIDS} | 152.0 ± 0.0 | 10.0 / 11.0 / 12.0 | 2 | 0 |" in write_page(result)
