"""Which confidences a class is reported from, and the temperature that makes them true."""

import numpy as np
import pytest

from lungct_tools.modelling.decision import (
    NEVER,
    REPORTED_ACCURACY,
    choose_limits,
    fit_temperature,
    forgive,
    is_calibrating,
)


def test_a_limit_is_the_least_confidence_from_which_a_class_is_right_often_enough():
    confidence = np.linspace(0.4, 0.999, 1000)
    probabilities = np.column_stack([1 - confidence, confidence, np.zeros(1000)])
    probabilities = np.where(probabilities.max(1, keepdims=True) > 0.5, probabilities, (0.2, 0.5, 0.3))
    labels = np.where(confidence > 0.8, 1, 0)
    limits = choose_limits(probabilities, labels)
    assert limits[2] == NEVER, "never called"
    kept = (probabilities.argmax(1) == 1) & (probabilities.max(1) >= limits[1])
    assert (labels[kept] == 1).mean() >= REPORTED_ACCURACY
    assert limits[1] < 0.8
    assert choose_limits(probabilities[-10:], labels[-10:])[1] == NEVER, "ten slices support nothing"


def test_an_overconfident_network_gets_the_temperature_that_it_was_sharpened_by():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 3))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(3, p=p) for p in chances])
    assert fit_temperature(3 * logits, labels) == pytest.approx(3, rel=0.1)


def test_a_slice_labelled_benign_is_wrong_only_if_it_is_called_malignant():
    called, labels = np.array([0, 1, 2, 2, 1]), np.array([0, 0, 0, 1, 1])
    assert (forgive(called, labels) == called).tolist() == [True, False, True, False, True]


def test_half_of_the_cases_set_limits():
    assert 0.3 < np.mean([is_calibrating(f"iq:{case}") for case in range(300)]) < 0.7
