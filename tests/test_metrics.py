import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from scripts.modelling.metrics import (
    choose_refer_threshold,
    count_confusion,
    decide_across_folds,
    expected_calibration_error,
    fit_calibration,
    measure,
    measure_reported,
    resample_cases,
    softmax,
    trace_risk,
)


def draw(n, sharpness, seed=0):
    """Logits of a classifier that is exactly calibrated, times `sharpness`; labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 3))
    labels = np.array([rng.choice(3, p=p) for p in softmax(logits, 1.0)])
    return sharpness * logits, labels


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_calibration_undoes_a_wrong_sharpness_and_a_wrong_class_bias(sharpness):
    logits, labels = draw(4000, sharpness)
    found = fit_calibration(logits + sharpness * np.array([1.0, -0.5, 0.0]), labels)
    assert found.temperature == pytest.approx(sharpness, rel=0.1)
    assert found.contrast == pytest.approx(1, rel=0.1)
    assert found.bias - found.bias[2] == pytest.approx(-sharpness * np.array([1.0, -0.5, 0.0]), abs=0.2 * sharpness)
    shifted = found.apply(logits + sharpness * np.array([1.0, -0.5, 0.0]))
    assert shifted == pytest.approx(softmax(logits, sharpness), abs=0.06)


def test_calibration_learns_that_benign_and_normal_are_told_apart_by_chance_alone():
    logits, labels = draw(4000, 1.0)
    known = logits.copy()
    known[:, [0, 2]] = logits[:, [0, 2]].mean(1, keepdims=True) + np.random.default_rng(1).normal(0, 4, (4000, 1)) * [
        1,
        -1,
    ]
    found = fit_calibration(known, labels)
    assert found.contrast < 0.1
    corrected = found.correct(known)
    assert corrected[:, 0] + corrected[:, 2] == pytest.approx(known[:, 0] + known[:, 2] + found.bias[[0, 2]].sum())
    assert measure(found.apply(known), labels)["brier"] < measure(softmax(known, found.temperature), labels)["brier"]


def test_calibration_error_is_small_for_a_calibrated_and_large_for_a_boastful_classifier():
    logits, labels = draw(4000, 1.0)
    assert expected_calibration_error(softmax(logits, 1.0), labels) < 0.03
    assert expected_calibration_error(softmax(5 * logits, 1.0), labels) > 0.15


def test_the_refer_threshold_is_the_least_that_reaches_the_accuracy():
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    probabilities = np.stack([confidence, 1 - confidence, np.zeros(5)], 1)
    labels = np.array([0, 0, 0, 1, 0])
    assert choose_refer_threshold(probabilities, labels, 0.95) == 0.7
    assert choose_refer_threshold(probabilities, labels, 0.80) == 0.5
    assert choose_refer_threshold(probabilities, np.ones(5, int), 0.95) == 1.0


def test_a_fold_is_decided_without_its_own_labels():
    logits, labels = draw(600, 2.0)
    folds = np.arange(600) % 5
    changed = labels.copy()
    changed[folds == 2] = (changed[folds == 2] + 1) % 3
    first, second = (decide_across_folds(logits, some, folds) for some in (labels, changed))
    assert np.array_equal(first.probabilities[folds == 2], second.probabilities[folds == 2])
    assert np.array_equal(first.reported[folds == 2], second.reported[folds == 2])
    assert not np.array_equal(first.probabilities[folds == 1], second.probabilities[folds == 1])


def test_reported_slices_reach_the_accuracy_that_was_asked_on_plenty_of_data():
    logits, labels = draw(6000, 2.0)
    found = measure_reported(decide_across_folds(logits, labels, np.arange(6000) % 5, 0.9), labels)
    assert found["reported_accuracy"] == pytest.approx(0.9, abs=0.02)
    assert 0.1 < found["reported_share"] < 0.9


def test_scores_agree_with_scikit_learn_and_with_hand_counts():
    logits, labels = draw(300, 1.0)
    scores = measure(softmax(logits, 1.0), labels)
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, logits.argmax(1)))
    assert scores["recall_malignant"] == (logits.argmax(1) == 1)[labels == 1].mean()
    assert sum(map(sum, count_confusion(softmax(logits, 1.0), labels))) == 300


def test_a_class_that_is_not_there_has_no_recall_and_does_not_spoil_the_rest():
    scores = measure(softmax(3 * np.eye(3)[[1, 2, 1]], 1.0), np.array([1, 2, 1]))
    assert np.isnan(scores["recall_benign"])
    assert scores["balanced_accuracy"] == 1


def test_intervals_by_case_are_wider_when_the_slices_of_a_case_agree():
    right = np.repeat(np.arange(20) % 2, 30).astype(float)

    def accuracy(rows):
        return {"accuracy": float(right[rows].mean())}

    by_case = resample_cases(accuracy, np.repeat(np.arange(20), 30), draws=300)["accuracy"]
    by_slice = resample_cases(accuracy, np.arange(600), draws=300)["accuracy"]
    assert by_case[0] < 0.5 < by_case[1]
    assert np.diff(by_case) > 3 * np.diff(by_slice)


def test_risk_rises_from_the_most_confident_slice_to_the_error_rate_of_all():
    logits, labels = draw(3000, 1.0)
    coverage, risk = trace_risk(softmax(logits, 1.0), labels)
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx((logits.argmax(1) != labels).mean())
    assert risk[300] < risk[1500] < risk[-1]
