import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lungct_tools.modelling import crossvalidation
from lungct_tools.modelling import recipe as recipes
from lungct_tools.modelling.crossvalidation import CIRCUMSTANCES, FOLDS, RECIPE, TRIALS, Trial
from lungct_tools.modelling.dataset import read_cases
from lungct_tools.modelling.recipe import Recipe, list_changes, read_recipe
from lungct_tools.modelling.shipping import ship, write_trials


@pytest.fixture(scope="module")
def cases(trained):
    return read_cases(trained.data)


def test_no_network_is_trained_on_a_slice_of_a_case_that_it_answers_for(trained, cases, tmp_path, monkeypatch):
    trial = Trial(tmp_path, "spied", cases, Recipe(schedule=((1, 64),)), str(trained.start), 0)
    seen = []

    def spy(network, given, rows, recipe, seed, checkpoint):
        seen.append(rows)
        torch.save({"seconds": 0.0}, checkpoint)
        return network.eval()

    monkeypatch.setattr(crossvalidation, "fit", spy)
    for fold in range(FOLDS):
        trial.train(fold)
        rows = seen[fold]
        assert set(rows) == set(np.flatnonzero(trial.folds != fold))
        assert not set(cases.groups[rows]) & set(cases.groups[trial.folds == fold])
        assert len(load_file(trial.answers(fold))["logits"]) == len(cases.files) - len(rows)


def test_a_trial_does_not_go_on_from_one_with_other_folds_nor_is_it_listed(trained, cases, tmp_path):
    """The networks of another seed were trained on slices that this trial would judge them on."""
    start = str(trained.start)
    Trial(tmp_path, "elder", cases, Recipe(), start, 1).keep_record()
    child = Trial(tmp_path, "child", cases, Recipe(schedule=(), start="elder"), start, 0)
    for step in (child.keep_record, lambda: child.train(0), lambda: ship(child, tmp_path / "model", "1")):
        with pytest.raises(ValueError, match="elder.*begun otherwise"):
            step()
    heir = Trial(tmp_path, "heir", cases, Recipe(schedule=(), start="child"), start, 0)
    for trial in (child, heir):  # as begun before parents were looked at
        trial.folder.mkdir(exist_ok=True)
        (trial.folder / RECIPE).write_text(json.dumps(asdict(trial.recipe)))
        (trial.folder / CIRCUMSTANCES).write_text(json.dumps(trial.circumstances))
    with pytest.raises(ValueError, match="elder.*begun otherwise"):
        heir.keep_record()
    for name in ("elder", "child", "heir"):
        for fold in range(FOLDS):
            shutil.copy(trained.work / "base" / f"fold-{fold}.answers", tmp_path / name)
    assert write_trials(Trial(tmp_path, "list", cases, Recipe(), start, 0), tmp_path / TRIALS) == 0


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(trained, cases, tmp_path, monkeypatch):
    recipe = Recipe(schedule=((2, 64),), batch=6)
    whole = Trial(trained.work, "whole", cases, recipe, str(trained.start), 0)
    whole.train(0)
    broken = Trial(trained.work, "broken", cases, recipe, str(trained.start), 0)
    real, epochs = recipes.draw_balanced, []

    def fail_in_the_second_epoch(*arguments):
        epochs.append(arguments)
        if len(epochs) > 1:
            raise KeyboardInterrupt
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(recipes, "draw_balanced", fail_in_the_second_epoch)
        with pytest.raises(KeyboardInterrupt):
            broken.train(0)
    broken.train(0)
    for name, tensor in whole.network(0).state_dict().items():
        assert torch.allclose(tensor.float(), broken.network(0).state_dict()[name].float(), atol=1e-5), name


def test_a_trial_without_epochs_is_the_mean_of_the_networks_it_begins_with(trained, cases):
    Trial(trained.work, "other", cases, Recipe(schedule=((1, 64),), batch=6, draws=1), str(trained.start), 0).train(1)
    recipe = Recipe(schedule=(), start="base+other")
    mean = Trial(trained.work, "mean", cases, recipe, str(trained.start), 0)
    mean.train(1)
    weights = [trial.network(1).layer4[1].conv2.weight for trial in mean.ancestry]
    assert [trial.name for trial in mean.ancestry] == ["base", "other", "mean"]
    assert not torch.allclose(weights[0], weights[1])
    assert torch.allclose((weights[0] + weights[1]) / 2, weights[2], atol=1e-6)
    assert float(mean.collect([1])["minutes"]) == 0


def test_a_trial_recorded_before_a_recipe_knew_a_setting_goes_on(trained, cases, tmp_path):
    trial = Trial(tmp_path, "old", cases, Recipe(lr=1e-3), str(trained.start), 0)
    trial.keep_record()
    record = trial.folder / "recipe.json"
    known = json.loads(record.read_text())
    del known["draws"]
    record.write_text(json.dumps(known))
    trial.keep_record()
    record.write_text(json.dumps(known | {"draws": 3}))
    with pytest.raises(ValueError, match="begun otherwise"):
        trial.keep_record()


def test_a_trial_can_go_on_from_the_networks_of_another(trained, cases):
    recipe = Recipe(schedule=((1, 64),), batch=6, lr=1e-12, mixup=0.2, start="base")
    onward = Trial(trained.work, "onward", cases, recipe, str(trained.start), 0)
    onward.train(1)
    first, then = (trial.network(1).layer4[1].conv2.weight for trial in onward.ancestry)
    assert [trial.name for trial in onward.ancestry] == ["base", "onward"]
    assert torch.allclose(first, then, atol=1e-5)
    assert list_changes(recipe) != list_changes(Recipe())
    assert read_recipe(list_changes(recipe)) == recipe
