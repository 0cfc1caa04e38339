"""Trainings without each patient of other scanners in turn, and what the card tells of them."""

import csv
import json
import shutil

import pytest
import torch
from PIL import Image

from lungct.model.folder import load_model_folder
from lungct.window import LUNG
from lungct_tools.modelling.card import CARD, UNSEEN, write_card
from lungct_tools.modelling.dataset import read_cases
from lungct_tools.modelling.pasting.backgrounds import read_clear, take_normal
from lungct_tools.modelling.pasting.nodules import read_nodules
from lungct_tools.modelling.pasting.training import CHECKPOINT
from lungct_tools.modelling.shipping import Material
from lungct_tools.modelling.unseen import part
from lungct_tools.phantom.anatomy import draw_slice
from tests.conftest import run_script
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


def test_a_part_holds_a_patients_slices_and_the_rest_none_of_them(data, nodules):
    material = Material([*take_normal(read_cases(data)), *read_clear(data / "lidc_clear")], read_nodules(nodules))
    mine, rest = part(material, "clear:one")
    assert [one.group for one in mine.backgrounds] == ["clear:one"] * 3
    assert {one.group for one in rest.backgrounds} == {one.group for one in material.backgrounds} - {"clear:one"}
    assert mine.nodules is rest.nodules is material.nodules


def test_each_patient_is_judged_and_the_same_again_trains_nothing_anew(trained, data, tmp_path):
    """In processes of their own, as trainings have children that read images."""
    out, work = shutil.copytree(trained.model, tmp_path / "model"), tmp_path / "work"
    place = ("--data", data, "--nodules", trained.nodules, "--init", trained.start, "--work", work, "--model", out)
    done = run_script("unseen", *place, "--recipe", RECIPE, "--pasted", 12)
    assert done.returncode == 0, done.stderr
    first = (out / UNSEEN).read_bytes()
    told = json.loads(first)
    assert set(told["patients"]) == {"clear:one", "clear:two"}
    for found in told["patients"].values():
        assert found["slices"] == 3
        assert found["pasted"] == 12
        assert 0 <= found["called_malignant"] <= 1
        assert 0 <= found["balanced_accuracy"] <= 1
        assert 0 <= found["present_auc"] <= 1
    logs = [work / f"clear-{name}" / CHECKPOINT for name in PATIENTS]
    assert [torch.load(path, weights_only=True)["step"] for path in logs] == [2, 2]
    again = run_script("unseen", *place, "--recipe", RECIPE, "--pasted", 12)
    assert again.returncode == 0, again.stderr
    assert (out / UNSEEN).read_bytes() == first, "the minutes too"


def test_data_without_other_scanners_is_told(made, nodules, run_here):
    code, said = run_here("unseen", "--data", made, "--nodules", nodules)
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
    assert "left each out once: 26,880 images from start.pth" in card
    assert "lungct unseen --data DIR --init INIT" in card
    assert "| one | 3 | 0% | 0% | 0% | 34% | 0.61 | 0.87 |" in card
