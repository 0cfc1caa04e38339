"""Limits of trust: chosen on some slices so that no worse copy of a referred one is reported, counted on others."""

import csv
import json
import shutil

import numpy as np
import pytest

from lungct.gate.checks import FARTHER
from lungct.model.folder import load_model_folder
from lungct_tools.modelling.decision import NEVER, is_calibrating
from lungct_tools.modelling.pasting.backgrounds import name_case
from lungct_tools.modelling.sights import Seen
from lungct_tools.modelling.trust import LABELLED, list_slices, renew_shares
from lungct_tools.modelling.trusting import (
    MARGINS,
    Limits,
    Margin,
    choose_by,
    choose_limits,
    choose_refusal,
    count,
    count_refused,
    count_risen,
    find_risen,
)
from tests.conftest import MODEL, run_script

START = Limits(1.0, 50.0, np.array([NEVER, 0.5, NEVER]))
BENIGN, MALIGNANT = 0, 1


def see(count_, seed=0, **changes):
    """Pictures called Malignant that pass every limit of START."""
    given = {
        "called": np.full(count_, MALIGNANT),
        "confidence": np.full(count_, 0.9),
        "sharpness": np.full(count_, 2.0),
        "distance": np.full(count_, 30.0),
        "lung_share": np.full(count_, 0.3),
        "shaped": np.ones(count_, bool),
        "usual": np.ones(count_, bool),
        "doubted": np.zeros(count_, bool),
    }
    return Seen(**given | {name: np.array(value) for name, value in changes.items()})


@pytest.mark.parametrize(
    "change",
    [{"confidence": [0.4]}, {"sharpness": [0.9]}, {"distance": [51.0]}, {"called": [BENIGN]}, {"shaped": [False]},
     {"doubted": [True]}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_each_limit_alone_refers_a_slice_and_a_copy_that_passes_it_has_risen(change):
    assert START.report(see(1)).all()
    assert not START.report(see(1, **change)).any()
    assert find_risen(see(1, **change), see(1), START).all()
    assert not find_risen(see(1), see(1, **change), START).any()


def choose(slices, copies, support=1):
    """Limits chosen on slices of which every other one is of the other fold."""
    return choose_limits(slices, copies, START, np.arange(slices.called.size) % 2, MALIGNANT, support)


def test_limits_that_few_slices_reach_report_nothing_and_leave_the_gate_alone():
    slices = see(100, confidence=[0.9] * 59 + [0.2] * 41, distance=[20.0] * 59 + [40.0] * 41)
    copies = [see(100, confidence=[0.9] * 59 + [0.6] * 41, distance=[20.0] * 59 + [40.0] * 41)]
    assert choose(slices, copies, support=59).report(slices).sum() == 59
    chosen = choose(slices, copies, support=60)
    assert not chosen.report(slices).any()
    assert (chosen.sharpness, chosen.distance) == (START.sharpness, START.distance)
    assert (chosen.below == NEVER).all()


def test_limits_are_chosen_so_that_no_copy_rises_and_most_slices_stay_reported():
    rng = np.random.default_rng(0)
    confidence, sharpness = rng.uniform(0.3, 0.99, 400), rng.uniform(0.5, 3, 400)
    surely = np.where(rng.random(400) < 0.3, 0.999, confidence)
    slices = see(400, confidence=surely, sharpness=sharpness)
    copies = [
        see(400, confidence=np.clip(surely + rng.normal(0, 0.001, 400), 0, 0.998), sharpness=sharpness * 1.02),
        see(400, confidence=surely * 0.9, sharpness=sharpness * 0.7),
    ]
    assert any(find_risen(slices, some, START).any() for some in copies)
    chosen = choose(slices, copies)
    assert not any(find_risen(slices, some, chosen).any() for some in copies)
    assert chosen.report(slices).sum() > 50
    assert chosen.sharpness >= START.sharpness
    assert chosen.distance <= START.distance
    assert (chosen.below >= START.below).all()


def test_limits_stay_where_they_are_if_no_copy_rises():
    slices = see(4, confidence=[0.9, 0.2, 0.9, 0.2])
    chosen = choose(slices, [slices])
    assert (chosen.sharpness, chosen.distance, chosen.below.tolist()) == (1.0, 50.0, START.below.tolist())


def test_where_every_copy_of_a_referred_slice_is_sure_nothing_is_reported():
    slices = see(2, confidence=[0.2, 0.99])
    chosen = choose(slices, [see(2, confidence=[1.0, 1.0])])
    assert not chosen.report(see(2, confidence=[1.0, 1.0])).any()


def test_limits_that_hold_on_the_slices_that_set_them_only_are_not_taken():
    slices = see(6, confidence=[0.9, 0.2, 0.9, 0.2, 0.9, 0.99999])
    copies = [see(6, confidence=[0.9, 0.999, 0.9, 0.999, 0.9, 0.999])]  # only those of every other slice rise
    fitted = choose_by(slices, copies, START, MARGINS[0])
    assert fitted.report(slices).any()
    assert not any(find_risen(slices, some, fitted).any() for some in copies)
    assert not choose(slices, copies).report(slices).any()


def test_a_margin_keeps_copies_farther_from_the_limits_than_slices():
    slices, copy = see(3, confidence=[0.2, 0.8, 0.95]), see(3, confidence=[0.7, 0.5, 0.5])
    near, far = (choose_by(slices, [copy], START, Margin(1.0, 1.0, odds)) for odds in (1.0, 4.0))
    assert (near.below[MALIGNANT], far.below[MALIGNANT]) == (0.8, 0.95)
    blurred = see(1, sharpness=[0.95])
    assert not START.trust(blurred).any()
    assert START.trust(blurred, Margin(0.9, 1.0, 1.0)).all()


def test_a_count_comes_with_the_exact_bound():
    assert count(0, 59) == {"count": 0, "of": 59, "at_most": pytest.approx(1 - 0.05 ** (1 / 59), abs=1e-5)}
    assert count(3, 3)["at_most"] == 1
    assert count(0, 0)["at_most"] == 1


def test_risen_and_refused_slices_are_counted():
    slices = see(4, confidence=[0.9, 0.2, 0.2, 0.2])
    found = count_risen(slices, {"a": see(4), "b": slices}, START, MALIGNANT)
    assert (found["a"]["count"], found["a"]["malignant"], found["a"]["of"]) == (3, 3, 3)
    assert (found["any"]["count"], found["any"]["malignant"], found["any"]["of"]) == (3, 3, 3)
    seen = see(4, distance=[70, 100, 10, 100], shaped=[True, True, False, True], lung_share=[0.3, 0.3, 0.3, 0.05])
    assert (count_refused(seen, 60)["count"], count_refused(seen, 60)["of"]) == (2, 3)
    assert count_refused(seen._replace(usual=np.zeros(4, bool)), 60)["count"] == 3


def test_a_picture_is_refused_only_well_beyond_the_slices_that_have_lungs():
    seen = see(1000, distance=np.linspace(10, 60, 1000))
    assert choose_refusal([seen], 20.0) * FARTHER == pytest.approx(59.5, abs=0.2)
    assert choose_refusal([seen], 50.0) == 50
    assert choose_refusal([seen, see(1, distance=[500.0], lung_share=[0.01])], 20.0) * FARTHER < 60


def test_a_case_is_always_in_the_same_quarter_and_both_halves_have_many(data):
    known = list_slices(data)
    assert known == list_slices(data)
    shares = np.bincount([one.quarter for one in known], minlength=4) / len(known)
    assert shares.min() > 0.1
    assert 0.3 < shares[0] + shares[2] < 0.7
    assert {one.quarter for one in known if one.path.parent.name == "lungdx_a0001"} == {1}
    with (data / LABELLED).open(newline="") as stream:
        cases = {row["file"]: name_case(int(row["pseudo_case"])) for row in csv.DictReader(stream)}
    folder = (data / LABELLED).parent
    labelled = [one for one in known if one.path.is_relative_to(folder)]
    assert len(labelled) == len(cases)
    for one in labelled:  # or `lungct evaluate` would judge by what set the limits
        assert is_calibrating(cases[str(one.path.relative_to(folder))]) == (one.quarter in (0, 2))


@pytest.mark.data
def test_the_command_sets_limits_that_a_server_takes(data, tmp_path):
    model = shutil.copytree(MODEL, tmp_path / "model")
    done = run_script("trust", "--data", data, "--model", model, "--every", 90, "--write")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["refused"]["photo"]["of"] == 80
    assert found["copies_of_referred_slices_reported"]["after"]["any"]["of"] > 0
    written = load_model_folder(model).contract
    assert written.gate["refuse_above"] == found["limits"]["refuse_above"]
    assert written.refer_below == found["limits"]["refer_below"]
    assert written.training["trust"]["every"] == 90


def test_a_folder_without_slices_is_told_so(tmp_path):
    done = run_script("trust", "--data", tmp_path)
    assert done.returncode == 2
    assert "holds none of" in done.stderr


def test_shares_of_reported_slices_do_not_outlive_the_limits_that_they_were_measured_with():
    metrics = {"accuracy": 0.9, "reported_share": 0.4, "reported_accuracy": 0.97, "reported_accuracy_malignant": 0.97}
    limits = {"A": 0.5, "B": 2.0}
    assert renew_shares(metrics, limits, dict(limits)) == metrics
    assert renew_shares(metrics, limits, {"A": 0.6, "B": 2.0}) == {"accuracy": 0.9}
    assert renew_shares(metrics, limits, {"A": 2.0, "B": 2.0}) == {"accuracy": 0.9, "reported_share": 0.0}
