"""Counters of the server as TorchServe writes them, and what is made of them."""

import pytest

from scripts.bench.estimate import Sample
from scripts.bench.growth import CALLERS, choose_settings
from scripts.bench.stages import parse_counters

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


def test_the_settings_that_lose_least_over_all_numbers_of_callers_are_chosen():
    rates = {"for one": (90, 90, 90, 90, 90), "for many": (10, 95, 95, 100, 100), "never": (1, 1, 1, 1, 1)}
    found = {name: {c: [Sample(r)] for c, r in zip(CALLERS, each, strict=True)} for name, each in rates.items()}
    assert choose_settings(found) == "for one"
