"""Means, intervals, ratios and the order of measuring."""

import math

import pytest

from lungct_tools.bench.estimate import Sample, estimate, estimate_difference, estimate_ratio, measure_in_turn


def test_the_interval_is_students():
    found = estimate([10.0, 12.0, 14.0])
    assert found.mean == 12
    assert found.half == pytest.approx(4.303 * 2 / 3**0.5, rel=1e-3)  # t(0.975, 2) = 4.303, standard deviation 2


def test_one_repeat_has_no_interval():
    found = estimate([7.0])
    assert found.mean == 7
    assert math.isnan(found.half)
    assert found.show(1) == "7.0"


def test_a_machine_that_slows_down_cancels_out_of_a_ratio():
    assert estimate_ratio([40.0, 20.0, 10.0], [20.0, 10.0, 5.0]) == (2.0, 0.0)
    assert math.isnan(estimate_ratio([1.0, 2.0], [0.0, 1.0]).half)
    assert estimate_difference([41.0, 21.0, 11.0], [40.0, 20.0, 10.0]) == (1.0, 0.0)


def record(repeats):
    """The order in which three ways were measured, round by round, and what was kept of it."""
    calls = []

    def way(name):
        return lambda: calls.append(name) or Sample(len(calls))

    found = measure_in_turn("Test", {name: way(name) for name in "abc"}, repeats)
    return [calls[i : i + 3] for i in range(0, len(calls), 3)], found


def test_every_way_has_its_turn_in_each_round_and_the_first_round_is_thrown_away():
    rounds, found = record(repeats=2)
    assert [sorted(each) for each in rounds] == [["a", "b", "c"]] * 3
    for name in "abc":
        kept = [3 * number + rounds[number].index(name) + 1 for number in (1, 2)]
        assert [sample.rate for sample in found[name]] == kept


def test_the_order_changes_from_round_to_round_and_is_that_of_every_run():
    rounds, _ = record(repeats=40)
    for place in range(3):
        assert {each[place] for each in rounds} == {"a", "b", "c"}
    assert record(repeats=40)[0] == rounds
