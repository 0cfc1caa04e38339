"""Means, intervals, ratios and the order of measuring."""

import pytest

from scripts.bench.estimate import Sample, estimate, estimate_ratio, measure_in_turn


def test_the_interval_is_students():
    found = estimate([10.0, 12.0, 14.0])
    assert found.mean == 12
    assert found.half == pytest.approx(4.303 * 2 / 3**0.5, rel=1e-3)  # t(0.975, 2) = 4.303, standard deviation 2


def test_one_repeat_has_no_interval():
    assert estimate([7.0]) == (7.0, 0.0)


def test_a_machine_that_slows_down_cancels_out_of_a_ratio():
    assert estimate_ratio([40.0, 20.0, 10.0], [20.0, 10.0, 5.0]) == (2.0, 0.0)


def test_every_way_has_its_turn_in_each_round_and_the_first_round_is_thrown_away():
    calls = []

    def way(name):
        return lambda: calls.append(name) or Sample(len(calls))

    found = measure_in_turn("Test", {"a": way("a"), "b": way("b")}, repeats=2)
    assert calls == ["a", "b"] * 3
    assert [sample.rate for sample in found["a"]] == [3, 5]
    assert [sample.rate for sample in found["b"]] == [4, 6]
