import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score

from lungct_tools.modelling.intervals import bound_scores, cover_cases, resample_cases
from lungct_tools.modelling.metrics import (
    ALWAYS,
    LEAST_SUPPORT,
    choose_refer_thresholds,
    count_confusion,
    decide,
    decide_across_folds,
    expected_calibration_error,
    fit_calibration,
    measure,
    measure_reported,
    select_classes,
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


def call(index, confidence):
    """Probabilities (N, 3) of slices that are called `index` with these confidences."""
    rest = (1 - np.asarray(confidence))[:, None] / 2
    return np.where(np.arange(3) == index, np.asarray(confidence)[:, None], rest)


def test_the_refer_threshold_is_the_least_that_reaches_the_accuracy():
    probabilities = call(1, np.repeat([0.9, 0.8, 0.7], 60))
    labels = np.repeat([1, 1, 0], 60)
    assert choose_refer_thresholds(probabilities, labels, 0.95)[1] == 0.8
    assert choose_refer_thresholds(probabilities, labels, 0.65)[1] == 0.7
    assert choose_refer_thresholds(probabilities, np.zeros(180, int), 0.95)[1] == ALWAYS


def test_a_class_that_is_easy_does_not_make_up_for_one_that_is_not():
    """900 slices called Malignant are right, 2 in 3 of 90 called Normal: 97 % of all, and yet Normal is referred."""
    probabilities = np.concatenate([call(1, np.full(900, 0.8)), call(2, np.full(90, 0.8))])
    labels = np.concatenate([np.full(900, 1), np.repeat([2, 2, 0], 30)])
    thresholds = choose_refer_thresholds(probabilities, labels, 0.95)
    assert thresholds.tolist() == [ALWAYS, 0.8, ALWAYS]
    decisions = decide(probabilities, thresholds)
    assert decisions.reported.sum() == 900
    found = measure_reported(decisions, labels)
    assert found["reported_accuracy"] == found["reported_accuracy_malignant"] == 1
    assert np.isnan(found["reported_accuracy_normal"])


def test_a_threshold_that_too_few_slices_support_is_none():
    for count, expected in ((LEAST_SUPPORT - 1, ALWAYS), (LEAST_SUPPORT, 0.9)):
        assert choose_refer_thresholds(call(1, np.full(count, 0.9)), np.ones(count, int), 0.95)[1] == expected


@pytest.mark.parametrize(("right", "threshold"), [(76, 0.795), (75, ALWAYS)])
def test_a_threshold_keeps_its_promise_as_it_is_written_down(right, threshold):
    """95 % are right from 0.7948: 0.794 would let in one more that is wrong, 0.795 leaves out some that are right."""
    confidence = np.concatenate([np.full(4, 0.9), np.full(right, 0.85), np.full(77 - right, 0.7948), [0.7943]])
    labels = np.concatenate([np.zeros(4, int), np.ones(77, int), [0]])
    assert choose_refer_thresholds(call(1, confidence), labels, 0.95)[1] == threshold


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
    found = measure_reported(decide_across_folds(logits, labels, np.arange(6000) % 5, accuracy=0.9), labels)
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


def test_a_bootstrap_that_says_nothing_is_replaced_by_an_exact_interval_over_cases():
    """12 cases of 5 slices: the first 4 are Benign and all called otherwise, the next Malignant and all found."""
    groups, labels = np.repeat(np.arange(12), 5), np.repeat([0, 1, 2], 20)
    probabilities = call(1, np.full(60, 0.9))
    probabilities[40:50] = call(2, np.full(10, 0.8))
    found = bound_scores(lambda rows: measure(probabilities[rows], labels[rows]), groups, select_classes(labels))
    assert found["exact"] == {"recall_benign": 4, "recall_malignant": 4}
    assert found["intervals"]["recall_benign"] == [0, pytest.approx(binomtest(0, 4).proportion_ci(0.95).high)]
    assert found["intervals"]["recall_malignant"] == [pytest.approx(binomtest(4, 4).proportion_ci(0.95).low), 1]
    low, high = found["intervals"]["recall_normal"]
    assert low < found["scores"]["recall_normal"] < high
    same = bound_scores(lambda rows: {"flat": 0.5, "none": np.nan}, groups, {})
    assert same == {"scores": {"flat": 0.5}, "intervals": {}, "exact": {}}
    assert cover_cases(1.0, 60)[0] > cover_cases(1.0, 6)[0]


def test_risk_rises_from_the_most_confident_slice_to_the_error_rate_of_all():
    logits, labels = draw(3000, 1.0)
    coverage, risk = trace_risk(softmax(logits, 1.0), labels)
    assert coverage[-1] == 1
    assert risk[-1] == pytest.approx((logits.argmax(1) != labels).mean())
    assert risk[300] < risk[1500] < risk[-1]
