from dataclasses import replace

import numpy as np
import pytest

from lungct.exchange.result import build_score
from lungct.model.contract import WEIGHTS, ModelContract
from lungct.pixels.image import Slice

SLICE = Slice(np.zeros((4, 4), np.uint8), "PNG", None, "")
LIMITS = {"Benign": 2.0, "Malignant": 0.5, "Normal": 0.9}


def decide(label, confidence, limits, alike=True):
    """The decision on a slice that is called `label` with this confidence."""
    contract = ModelContract("1", refer_below=limits, files={WEIGHTS: ""})
    rest = (1 - confidence) / 2
    probabilities = np.array([confidence if name == label else rest for name in contract.classes])
    return build_score(probabilities, SLICE, (), alike, contract, "torch")["decision"]


@pytest.mark.parametrize(
    ("label", "confidence", "decision"),
    [
        ("Malignant", 0.6, "report"),
        ("Malignant", 0.5, "report"),
        ("Malignant", 0.49, "refer"),
        ("Normal", 0.89, "refer"),
        ("Normal", 0.9, "report"),
        ("Benign", 1.0, "refer"),
    ],
)
def test_each_class_is_reported_from_its_own_limit_on_and_one_over_1_is_never_reached(label, confidence, decision):
    assert decide(label, confidence, LIMITS) == decision
    assert decide(label, confidence, LIMITS, alike=False) == "refer"


def test_a_model_without_limits_reports_nothing():
    assert decide("Benign", 1.0, {}) == "refer"


@pytest.mark.parametrize(("geometry", "told"), [("pad", [6, 4]), ("squash", None)])
def test_a_slice_is_called_resampled_where_it_was(geometry, told):
    contract = ModelContract("1", geometry=geometry, files={WEIGHTS: ""})
    found = build_score(np.full(3, 1 / 3), replace(SLICE, aspect=1.5), (), True, contract, "torch")["input"]
    assert (found["resampled"], found["rule"].endswith("resampled")) == (told, bool(told))
