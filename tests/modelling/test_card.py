"""What the card says of a model, of others beside it and of its misses."""

import json
import shutil
from dataclasses import replace

import pytest

from lungct.model.folder import load_model_folder
from lungct_tools.modelling.card import CARD, EVALUATION, TRIED, UNSEEN, write_card
from lungct_tools.modelling.table import list_rows, tell_beside
from tests.conftest import MODEL

PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm"}


def test_another_models_evaluation_gives_the_table_a_column(trained, found, tmp_path):
    other = {**found, "version": "1.0", "pasted": {**found["pasted"], "scores": dict(found["pasted"]["scores"])}}
    other["pasted"]["scores"]["balanced_accuracy"] = 0.123
    (tmp_path / "other.json").write_text(json.dumps(other))
    beside = tell_beside(tmp_path / "other.json")
    write_card(tmp_path, load_model_folder(trained.model).contract, {**found, "beside": beside})
    card = (tmp_path / CARD).read_text()
    assert "| judged on | measure | 1.0 | wanted | reached |" in card
    assert "| balanced accuracy | 0.12 (" in card
    assert "1.0: the same command on its folder" in card
    assert "was trained on these cases" not in card, "nobody said so of that model"


@pytest.mark.parametrize("text", ["{}", "[]", '{"version": "1.0"}', "no JSON"])
def test_what_is_no_evaluation_cannot_stand_beside_and_that_is_told(text, tmp_path):
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match="is no evaluation.json of this version"):
        tell_beside(tmp_path / "other.json")


def test_a_folder_that_an_older_release_trained_gets_its_card(trained, found, tmp_path):
    contract = load_model_folder(trained.model).contract
    older = {name: value for name, value in contract.training.items() if name != "init"}
    older["recipe"] = {**older["recipe"], "folds": 5}
    write_card(tmp_path, replace(contract, training=older), found)
    assert "INIT was not told" in (tmp_path / CARD).read_text()


def test_a_training_that_went_on_from_another_is_told_as_two_commands(trained, found, tmp_path):
    contract = load_model_folder(trained.model).contract
    first = contract.training
    then = {"recipe": {**first["recipe"], "images": {**first["recipe"]["images"], "level": 0}}, "earlier": first}
    write_card(tmp_path, replace(contract, training={**first, **then, "init": "a model"}), found)
    one, two = [line for line in (tmp_path / CARD).read_text().splitlines() if line.startswith("lungct train")]
    assert ("--init INIT" in one, "--out MODEL_1" in one, "images" in one) == (True, True, False)
    assert ("--init MODEL_1" in two, '"images": {"level": 0}' in two, "--out" in two) == (True, True, False)
    assert f"INIT was {trained.start.name}" in (tmp_path / CARD).read_text()


def test_a_bound_is_rounded_up(trained, found, tmp_path):
    contract = load_model_folder(trained.model).contract
    trust = {"every": 1, "count": 0, "of": 664, "at_most": 0.0045}
    write_card(tmp_path, replace(contract, training={**contract.training, "trust": trust}), found)
    assert "0 of 664 were (at most 0.5%)" in " ".join((tmp_path / CARD).read_text().split())


def test_what_was_tried_against_a_miss_stands_under_the_table(trained, found, tmp_path):
    missed = next(row for row in list_rows(found) if not row.met)
    (tmp_path / TRIED).write_text(json.dumps({missed.measure: "a longer training, in vain."}))
    write_card(tmp_path, load_model_folder(trained.model).contract, found)
    assert f"- *{missed.measure}*: a longer training, in vain." in (tmp_path / CARD).read_text()


def test_the_shipped_card_is_what_its_numbers_make_has_two_hundred_lines_at_most_and_explains_every_miss(
    folder, tmp_path
):
    found = json.loads((MODEL / EVALUATION).read_text())
    tried = json.loads((MODEL / TRIED).read_text())
    for name in (TRIED, UNSEEN):
        shutil.copy(MODEL / name, tmp_path)
    write_card(tmp_path, folder.contract, found)
    assert (tmp_path / CARD).read_text() == (MODEL / CARD).read_text()
    assert len((MODEL / CARD).read_text().splitlines()) <= 200
    rows = list_rows(found)
    assert len(rows) == 24
    assert set(tried) == {row.measure for row in rows if not row.met}
