"""Trainings without each patient of other scanners in turn, and what the card tells of them."""

import csv
import json
import shutil

import pytest
import torch
from PIL import Image

from lungct.model.folder import load_model_folder
from lungct.window import LUNG
from lungct_tools.modelling import unseen
from lungct_tools.modelling.card import CARD, UNSEEN, write_card
from lungct_tools.modelling.pasting.training import CHECKPOINT, Trainer
from lungct_tools.phantom.anatomy import draw_slice
from tests.support.madeup import RECIPE

PATIENTS = ("one", "two")


@pytest.fixture(scope="module")
def data(made, tmp_path_factory):
    """The made-up cases beside three nodule-free slices of each of two patients."""
    root = shutil.copytree(made, tmp_path_factory.mktemp("data") / "data")
    (root / "lidc_clear").mkdir()
    rows = []
    for number in range(6):
        rows.append((f"{number}.png", PATIENTS[number % 2], "-500,1500", "lungs"))
        Image.fromarray(LUNG.render(draw_slice(50 + number, "none", 256))).save(root / "lidc_clear" / rows[-1][0])
    with (root / "lidc_clear" / "slices.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("file", "patient", "window", "level"), *rows])
    return root


@pytest.fixture
def place(trained, data, tmp_path):
    out = shutil.copytree(trained.model, tmp_path / "model")
    return (
        *("--data", data, "--nodules", trained.nodules, "--init", trained.start, "--recipe", RECIPE),
        *("--work", tmp_path / "work", "--model", out),
    )


def test_each_patient_is_judged_by_a_training_that_did_not_see_it(place, run_here, tmp_path, monkeypatch):
    monkeypatch.setattr(unseen, "PASTED", 12)
    trained_on = []
    begin = Trainer.__init__

    def watch(self, start, generator, *rest, **named):
        trained_on.append({one.group for one in generator.backgrounds if one.source == "clear"})
        begin(self, start, generator, *rest, **named)

    monkeypatch.setattr(Trainer, "__init__", watch)
    assert run_here("unseen", *place) == (0, "")
    assert trained_on == [{"clear:two"}, {"clear:one"}]
    told = json.loads((tmp_path / "model" / UNSEEN).read_text())
    assert set(told["patients"]) == {"clear:one", "clear:two"}
    for found in told["patients"].values():
        assert found["slices"] == 3
        assert found["pasted"] == 12
        assert 0 <= found["called_malignant"] <= 1
        assert 0 <= found["balanced_accuracy"] <= 1
        assert 0 <= found["present_auc"] <= 1
    steps = [
        torch.load(tmp_path / "work" / f"clear-{name}" / CHECKPOINT, weights_only=True)["step"] for name in PATIENTS
    ]
    assert steps == [2, 2]


def test_the_same_again_trains_nothing_anew(place, run_here, tmp_path, monkeypatch):
    monkeypatch.setattr(unseen, "PASTED", 12)
    assert run_here("unseen", *place) == (0, "")
    first = (tmp_path / "model" / UNSEEN).read_bytes()
    monkeypatch.setattr(Trainer, "_learn", lambda *_: pytest.fail("trained again"))
    assert run_here("unseen", *place) == (0, "")
    assert (tmp_path / "model" / UNSEEN).read_bytes() == first


def test_data_without_other_scanners_is_told(place, run_here, made):
    code, said = run_here("unseen", *place, "--data", made)
    assert (code, "lidc_clear" in said) == (2, True)


def test_the_card_has_what_was_said_of_patients_left_out(trained, found, tmp_path):
    contract = load_model_folder(trained.model).contract
    shown = {"slices": 3, "called_malignant": 0.0, "refused": 0.0, "reported_malignant": 0.0}
    more = {**found, "free_of_nodules": {"clear:one": shown}}
    write_card(tmp_path, contract, more)
    assert "No patient was left out to judge that" in (tmp_path / CARD).read_text()
    part = {"slices": 3, "called_malignant": 0.337, "pasted": 12, "balanced_accuracy": 0.61, "present_auc": 0.87}
    told = {"init": "start.pth", "recipe": {"views": [[19200, 128], [7680, 224]]}, "patients": {"clear:one": part}}
    (tmp_path / UNSEEN).write_text(json.dumps(told))
    write_card(tmp_path, contract, more)
    card = " ".join((tmp_path / CARD).read_text().split())
    assert "26,880 images from start.pth without it" in card
    assert "| one | 3 | 0% | 0% | 0% | 34% | 0.61 | 0.87 |" in card
