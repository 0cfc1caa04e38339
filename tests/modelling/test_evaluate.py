import csv
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from lungct.model.folder import load_model_folder
from lungct_tools.modelling.card import write_card
from lungct_tools.modelling.crossvalidation import ANSWERS, ASSIGNMENT, TRIALS
from lungct_tools.modelling.dataset import read_cases
from lungct_tools.modelling.evaluation import gather_pictures
from lungct_tools.modelling.evidence import (
    SHIFTS,
    correlate,
    disturb,
    find_others,
    perturb,
    randomise,
    trace_perturbation,
)
from lungct_tools.modelling.gatekeeping import measure_neighbours
from lungct_tools.modelling.judgement import Evaluation
from lungct_tools.modelling.targets import list_targets
from lungct_tools.modelling.validation import WORST, judge_folds, rank_benign
from tests.conftest import MODEL, run_script

PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm"}


def find_figures(card):
    """The pictures that a model card shows."""
    return set(re.findall(r"!\[[^]]+\]\((figures/[^)]+)\)", card))


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("evaluation")
    done = run_script("evaluate", "--data", trained.data, "--model", trained.model, "--out", out, "--sample", 3)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def found(written):
    return json.loads((written / "evaluation.json").read_text())


def test_the_numbers_come_out_again_from_the_committed_folds(trained, found):
    evaluation = Evaluation.read(trained.model, load_model_folder(trained.model), read_cases(trained.data))
    assert json.loads(json.dumps(judge_folds(evaluation))) == found["cross_validation"]


def test_the_shipped_weights_give_the_committed_answers_of_their_kept_out_fold(found):
    assert found["shipped"]["slices"] == 6
    assert found["shipped"]["largest_difference_from_committed_answers"] < 0.05


def test_the_card_quotes_the_numbers_it_was_given_and_says_which_targets_are_missed(written, found):
    card = (written / "MODEL_CARD.md").read_text()
    for key in ("accuracy", "brier", "malignant_auc"):
        low, high = found["cross_validation"]["intervals"][key]
        assert f"{found['cross_validation']['scores'][key]:.3f} | {low:.3f} to {high:.3f}" in card
    assert card.count("**missed**") == sum(not target.met for target in list_targets(found))
    assert card.count("**missed**") > 0
    assert "Research use only" in card
    assert not re.search(r"\bnan\b|None|\{[a-z_]+\}|/tmp/", card)


def test_every_figure_of_the_card_is_there_and_has_something_on_it(written):
    figures = find_figures((written / "MODEL_CARD.md").read_text())
    assert figures == {f"figures/{path.name}" for path in (written / "figures").iterdir()}
    for figure in figures:
        assert np.asarray(Image.open(written / figure).convert("L")).std() > 10


def test_every_fold_and_the_worst_of_every_class_are_told(found):
    cv = found["cross_validation"]
    assert sum(fold["slices"] for fold in cv["folds"]) == cv["slices"]
    for name in ("Benign", "Malignant", "Normal"):
        confidences = [row["confidence"] for row in cv["worst"] if row["is"] == name]
        assert len(confidences) <= WORST
        assert confidences == sorted(confidences, reverse=True)
    assert all(row["is"] != row["called"] for row in cv["worst"])
    assert {key for key, ends in cv["mean_of_folds_intervals"].items() if ends[0] <= ends[1]} == set(
        cv["mean_of_folds"]
    )


def test_smoothing_is_told_with_and_without_the_limit_of_sharpness(found):
    assert [row["sigma"] for row in found["smoothing"]] == [0, 1, 2, 3]
    for row in found["smoothing"]:
        assert row["reported"] <= row["reported_without_gate"] <= row["called_malignant"] <= 1


def test_intervals_hold_the_score_they_belong_to(found):
    cv = found["cross_validation"]
    for key in ("accuracy", "balanced_accuracy", "malignant_auc", "brier"):
        low, high = cv["intervals"][key]
        assert low < high
        assert low <= cv["scores"][key] <= high


def test_an_interval_is_never_a_point_and_an_exact_one_is_called_so(written, found):
    """Networks that know nothing call all slices alike: recalls of 0 and 1, on which no bootstrap draw differs."""
    for part in (found["cross_validation"], found["shipped"]):
        assert all(low < high for low, high in part["intervals"].values())
        assert part["cases_per_class"].keys() == {"Benign", "Malignant", "Normal"}
    exact = found["shipped"]["exact"]
    assert exact.keys() <= {key for key, score in found["shipped"]["scores"].items() if score in (0, 1)}
    assert len(exact) > 0
    assert all(f"(exact, {cases} cases)" in (written / "MODEL_CARD.md").read_text() for cases in exact.values())


def test_refused_ct_is_judged_by_the_half_of_it_that_did_not_set_the_threshold(found):
    kinds = {"kept_out_ct": {"refused": 0.0}}
    gate = {"kinds": kinds, "features": {"ct_refused": 0.03}}
    target = next(t for t in list_targets(found | {"gate": gate}) if "CT refused" in t.name)
    assert (target.reached, target.met) == ("3.0%", False)


def test_perturbation_is_traced_in_probabilities_as_they_are_served(folder):
    evidence, (one, other) = np.arange(49.0).reshape(1, 7, 7), np.split(folder.golden.inputs[:2], 2)
    sharp, dull = (
        trace_perturbation(folder.network, t, one, other, evidence, False) for t in (folder.contract.temperature, 1e6)
    )
    assert dull == pytest.approx(1 / 3, abs=1e-4)
    assert sharp.max() > 0.4


def test_heatmap_evidence_is_complete_and_in_range(found):
    heatmap = found["heatmap"]
    assert heatmap["completeness_error"] < 1e-3
    assert 0 <= heatmap["outside_body"]["mean"] <= 1
    assert 0 < heatmap["outside_body"]["even_map"] < 1
    assert sum(part["slices"] for part in heatmap["better_than_random"].values()) == heatmap["sample"]
    assert set(heatmap["curves"]) == {f"{k}_{of}" for k in ("deletion", "insertion") for of in ("map", "random")}


def test_folds_of_other_data_are_refused(trained, tmp_path, run_here):
    model = shutil.copytree(trained.model, tmp_path / "model")
    rows = list(csv.reader((model / ASSIGNMENT).open()))
    rows[1][1] = "999"
    csv.writer((model / ASSIGNMENT).open("w")).writerows(rows)
    code, said = run_here("evaluate", "--data", trained.data, "--model", model, "--out", tmp_path / "out")
    assert code == 2
    assert ASSIGNMENT in said


def test_pictures_are_found_by_kind_and_kinds_may_be_missing(tmp_path):
    (tmp_path / "not_ct" / "photo").mkdir(parents=True)
    (tmp_path / "not_ct" / "photo" / "a.jpg").touch()
    assert list(gather_pictures(tmp_path)) == ["photo"]


def test_deletion_replaces_the_marked_pixels_and_insertion_all_others():
    pixels, other = np.full((1, 1, 70, 70), 200, np.uint8), np.full((1, 1, 70, 70), 50, np.uint8)
    evidence = np.zeros((1, 7, 7))
    evidence[0, 0, 0] = 1
    deleted, inserted = (perturb(pixels, other, evidence, 0.02, insert)[0, 0] for insert in (False, True))
    corner, far = (slice(0, 4), slice(0, 4)), (slice(40, 70), slice(40, 70))
    assert (deleted[far], inserted[corner]) == (pytest.approx(200), pytest.approx(200))
    assert (deleted[corner], inserted[far]) == (pytest.approx(50), pytest.approx(50))


def test_what_is_put_in_comes_from_a_slice_that_is_called_otherwise():
    assert find_others(np.array([1, 1, 2]), 0).tolist() == [2]
    assert find_others(np.array([1, 1, 1]), 0).tolist() == [1, 2]


def test_disturbed_copies_are_moved_by_two_pixels_and_compressed():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    *moved, compressed = disturb(pixels)
    for (down, right), copy in zip(SHIFTS, moved, strict=True):
        inner = np.roll(pixels, (down, right), (0, 1))[4:-4, 4:-4]
        assert np.array_equal(copy[4:-4, 4:-4], inner)
    assert 0 < np.abs(compressed.astype(int) - pixels).mean() < 40


def test_neighbours_are_measured_at_unit_length():
    training = np.array([[1, 0], [0, 2]], np.float32)
    assert measure_neighbours(training, np.array([[5, 0]], np.float32), 1) == pytest.approx([0])
    assert measure_neighbours(training, np.array([[5, 0]], np.float32), 2) == pytest.approx([1])


def test_benign_is_ranked_against_normal_alone():
    logits = np.array([[2.0, 9, 0], [1, 9, 0], [0, -9, 1], [9, 0, 0]])
    assert rank_benign(logits, np.array([0, 0, 2, 1])) == 1
    assert rank_benign(-logits, np.array([0, 0, 2, 1])) == 0
    assert rank_benign(logits, np.array([1, 1, 2, 1])) is None


def test_a_map_correlates_with_itself_and_not_with_its_negative():
    maps = np.random.default_rng(0).normal(size=(2, 7, 7))
    assert correlate(maps, 3 * maps + 1) == pytest.approx([1, 1])
    assert correlate(maps, -maps) == pytest.approx([-1, -1])


def test_cascading_randomisation_changes_the_named_stages_only(folder):
    changed = randomise(folder.network, 2, seed=0)
    kept, fresh = changed.layer3[0].conv1.weight, changed.layer4[0].conv1.weight
    assert kept.equal(folder.network.layer3[0].conv1.weight)
    assert not fresh.equal(folder.network.layer4[0].conv1.weight)
    assert not changed.fc.weight.equal(folder.network.fc.weight)


def test_the_shipped_card_is_what_its_numbers_make(folder, tmp_path):
    found, trials = (json.loads((MODEL / name).read_text()) for name in ("evaluation.json", TRIALS))
    write_card(tmp_path, folder.contract, found, trials)
    assert (tmp_path / "MODEL_CARD.md").read_text() == (MODEL / "MODEL_CARD.md").read_text()


@pytest.mark.data
def test_the_shipped_card_s_numbers_come_out_again(data):
    evaluation = Evaluation.read(MODEL, load_model_folder(MODEL), read_cases(data))
    stated = json.loads((MODEL / "evaluation.json").read_text())["cross_validation"]
    again = json.loads(json.dumps(judge_folds(evaluation)))
    assert again["confusion"] == stated["confusion"]
    for key in ("worst", "folds", "reported", "set_by_one_fold", "mean_of_folds_intervals"):
        assert again[key] == stated[key], key
    for key, value in stated["scores"].items():
        assert again["scores"][key] == pytest.approx(value, abs=1e-6)


def test_the_shipped_folder_has_its_answers_and_card_and_no_picture_but_the_cards_figures(folder):
    names = {path.name for path in MODEL.iterdir()}
    assert {ANSWERS, ASSIGNMENT, "MODEL_CARD.md", "evaluation.json", "trials.json"} <= names
    pictures = {str(path.relative_to(MODEL)) for path in MODEL.rglob("*") if path.suffix in PICTURES}
    assert pictures == find_figures((MODEL / "MODEL_CARD.md").read_text())
    stated = json.loads((MODEL / "evaluation.json").read_text())["model"]
    assert stated["weights_sha256"] == folder.contract.weights_sha256
