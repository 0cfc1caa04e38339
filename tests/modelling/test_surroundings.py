"""What lies outside a body is kept apart from it, and a classifier that sees nothing else is told by it alone."""

import numpy as np
import pytest

from lungct.gate.body import outline
from lungct.model.preprocess import to_input
from lungct.window import LUNG
from lungct_tools.modelling.baselines import BASELINES, OUTSIDE, classify
from lungct_tools.modelling.dataset import Cases
from lungct_tools.modelling.surroundings import (
    AS_IS,
    BLANKED,
    SWAPPED,
    blank,
    find_content,
    find_surroundings,
    measure_surroundings,
    swap,
)
from lungct_tools.phantom.anatomy import draw_slice


def draw(seed, air=LUNG.air):
    """A phantom (256, 256) whose air around the body, but not in the lungs, has another gray level."""
    pixels = LUNG.render(draw_slice(seed, size=256))
    around = find_surroundings(to_input(pixels, 224, "pad", LUNG.air))
    wide = np.kron(around, np.ones((8, 8), bool))[3::7, 3::7]  # 224 -> 256
    return np.where(wide, np.uint8(air), pixels)


@pytest.fixture
def pixels():
    return to_input(draw(0), 224, "pad", LUNG.air)


def test_surroundings_are_far_from_the_body_and_all_the_air_there_is(pixels):
    around = find_surroundings(pixels)
    body = np.kron(outline(pixels).mask, np.ones((4, 4), bool))
    assert not (around & body).any()
    assert (around | body).mean() > 0.85
    assert not find_surroundings(np.full((1, 224, 224), LUNG.air, np.uint8)).any()


def test_blanking_and_swapping_change_nothing_but_the_surroundings(pixels):
    around = find_surroundings(pixels)
    other = to_input(draw(7, air=90), 224, "pad", LUNG.air)
    for changed in (blank(pixels), swap(pixels, other)):
        assert np.array_equal(changed[0][~around], pixels[0][~around])
    assert (blank(pixels)[0][around] == LUNG.air).all()
    shared = around & find_surroundings(other)
    assert np.array_equal(swap(pixels, other)[0][shared], other[0][shared])
    assert (swap(pixels, other)[0][around & ~shared] == LUNG.air).all()


def test_padding_is_no_surroundings():
    inside = find_content((100, 200))
    assert inside[112].all()
    assert 110 <= inside[:, 112].sum() <= 112  # the rows that are part padding do not count
    assert not inside[:50].any()


def test_scores_with_other_surroundings_have_intervals_by_case(folder):
    labels = np.repeat([0, 1, 2], 4)
    cases = Cases([""] * 12, labels, np.arange(12), [draw(row) for row in range(12)])
    found = measure_surroundings(folder.network, folder.contract.temperature, cases, np.arange(12))
    assert set(found) == {AS_IS, BLANKED, SWAPPED}
    for part in found.values():
        assert 0 <= part["scores"]["accuracy"] <= 1
        assert all(low < high for low, high in part["intervals"].values())


@pytest.mark.parametrize(("airs", "least", "most"), [((38, 43, 48), 0.9, 1.0), ((38, 38, 38), 0.0, 0.7)])
def test_levels_outside_the_body_tell_classes_that_differ_there_and_no_others(airs, least, most):
    labels = np.repeat([0, 1, 2], 8)
    slices = [draw(row, airs[label]) for row, label in enumerate(labels)]
    cases = Cases([""] * 24, labels, np.arange(24), slices)
    describe, classifier = BASELINES[OUTSIDE]
    found = classify(classifier, describe(cases), labels, np.arange(24) % 4)
    assert found.sum(1) == pytest.approx(1)
    assert least <= (found.argmax(1) == labels).mean() <= most
