import numpy as np
import pytest

from lungct.model.agreement import Agreement, compare

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(4, 3, 7, 7)).astype(np.float32)
CLEAR = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]


def test_an_engine_agrees_with_itself_whatever_the_scale_of_its_maps():
    assert compare(CLEAR, 2 * MAPS + 1, (CLEAR, MAPS)) == Agreement(4, 1.0, 0.0, 1.0)


def test_turned_maps_and_other_labels_are_told_from_equal_ones():
    other = CLEAR[[1, 1, 2, 0]]
    assert compare(other, -MAPS, (CLEAR, MAPS)) == Agreement(4, 0.75, pytest.approx(2 / 12, abs=1e-5), -1.0)


@pytest.mark.parametrize(
    ("agreement", "passes"),
    [
        (Agreement(100, 0.99, 0.01, 0.99), True),
        (Agreement(100, 0.98, 0.0, 1.0), False),
        (Agreement(100, 1.0, 0.011, 1.0), False),
        (Agreement(100, 1.0, 0.0, 0.98), False),
        (Agreement(0, 1.0, 0.0, 1.0), False),
        (Agreement(), False),
    ],
)
def test_all_three_must_reach_the_bar_on_slices_that_were_compared(agreement, passes):
    assert agreement.passes is passes
