"""Counters of the server as TorchServe writes them, and what is made of them."""

import pytest

from lungct_tools.bench.growth import find_best
from lungct_tools.bench.stages import average, parse_counters

METRICS = """\
# HELP lung_ct_stage_seconds_sum Torchserve prometheus counter metric with unit: Seconds
# TYPE lung_ct_stage_seconds_sum counter
lung_ct_stage_seconds_sum{Stage="decode",ModelName="lung_ct",Level="Model",Hostname="h",} 0.5
lung_ct_stage_seconds_sum{Stage="inference",ModelName="lung_ct",Level="Model",Hostname="h",} 1.25
lung_ct_stage_seconds_sum{Stage="render",ModelName="lung_ct",Level="Model",Hostname="h",} 4.0E-4
lung_ct_requests_total{Label="Malignant",Outcome="refer",ModelName="lung_ct",Level="Model",Hostname="h",} 20.0
lung_ct_requests_total{Label="Normal",Outcome="report",ModelName="lung_ct",Level="Model",Hostname="h",} 1.0E2
lung_ct_batches_total{ModelName="lung_ct",Level="Model",Hostname="h",} 9.0
"""


def test_series_of_one_name_are_added_up_and_stages_told_apart():
    expected = {"decode": 0.5, "inference": 1.25, "render": 4e-4, "requests": 120}
    assert parse_counters(METRICS) == pytest.approx(expected)


def test_a_server_that_has_not_answered_yet_has_counted_nothing():
    assert set(parse_counters("").values()) == {0}


def test_the_split_of_a_slice_is_the_average_of_its_rounds_stage_by_stage():
    assert average([{"decode": 1.0, "render": 0.2}, {"decode": 2.0, "render": 0.4}]) == pytest.approx(
        {"decode": 1.5, "render": 0.3}
    )


def test_settings_are_best_only_where_no_other_interval_overlaps_theirs():
    clear = {"fast": [50.0, 51.0, 50.5], "slow": [40.0, 41.0, 40.5], "slower": [30.0, 31.0, 30.5]}
    assert find_best(clear) == ["fast"]
    assert find_best(clear | {"slow": [45.0, 50.0, 47.5]}) == ["fast", "slow"]
    assert find_best({"fast": [50.0], "slow": [40.0]}) == ["fast", "slow"]  # one round proves nothing
