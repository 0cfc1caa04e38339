"""From trials to the model folder: the network that ships, its decisions, the table of trials."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file

from lungct.model.contract import ModelContract
from lungct.model.folder import load_model_folder, save_model_folder
from lungct_tools.modelling.crossvalidation import (
    ANSWERS,
    ASSIGNMENT,
    CIRCUMSTANCES,
    COMMON,
    FOLDS,
    KEPT_OUT,
    RECIPE,
    TRIALS,
    Trial,
)
from lungct_tools.modelling.dataset import Cases
from lungct_tools.modelling.gatekeeping import (
    choose_least_sharpness,
    find_sharp,
    fit_gate,
    measure_cases,
    set_thresholds,
)
from lungct_tools.modelling.judgement import Evaluation
from lungct_tools.modelling.metrics import (
    REPORTED_ACCURACY,
    Calibration,
    choose_refer_thresholds,
    decide_across_folds,
    fit_calibration,
    measure,
    measure_reported,
    softmax,
)
from lungct_tools.modelling.recipe import list_changes, predict, read_recipe
from lungct_tools.phantom.files import golden_inputs


def ship(trial: Trial, out: Path, version: str) -> ModelContract:
    """Write the network without fold KEPT_OUT as a model folder, with the folds and out-of-fold answers beside it.

    Raises:
        ValueError: a fold of the trial is not done, it was begun with another seed or other data, or it saw lungs only.
    """
    trial.keep_record()
    if any(part.recipe.lungs for part in trial.ancestry):
        raise ValueError(
            "The server shows the network whole slices; a trial that cuts them to the lungs is no model for it."
        )
    if not trial.finished:
        raise ValueError(f"Not all folds of {trial.folder} are done; run `train.py cv` first.")
    cases, answers = trial.cases, trial.collect()
    inside, outside = np.flatnonzero(trial.folds != KEPT_OUT), np.flatnonzero(trial.folds == KEPT_OUT)
    network = trial.network(KEPT_OUT)
    logits, labels = answers["logits"].double().numpy(), cases.labels
    calibration = fit_calibration(logits[outside], labels[outside])
    with torch.no_grad():
        mix = torch.from_numpy(calibration.mix).float()
        network.fc.weight.copy_(mix @ network.fc.weight)
        network.fc.bias.copy_(mix @ network.fc.bias + torch.from_numpy(calibration.bias))
    training = predict(network, cases, inside, trial.size)[1]
    sharpness = measure_cases(cases)
    gate = set_thresholds(fit_gate(training, labels[inside]), answers["features"].numpy()[outside])
    gate = gate._replace(least_sharpness=choose_least_sharpness(sharpness[inside], labels[inside]))
    contract = ModelContract(
        version=version,
        temperature=calibration.temperature,
        training={
            "init": Path(trial.init).name,
            "seed": trial.seed,
            "class_bias": [round(float(b), 4) for b in calibration.bias],
            "benign_normal_contrast": round(calibration.contrast, 4),
            "trials": [{"trial": t.name, "recipe": list_changes(t.recipe)} for t in trial.ancestry],
            "minutes": round(sum(float(t.collect()["minutes"]) for t in trial.ancestry), 1),
            "slices": {"training": len(inside), "kept_out": len(outside)},
            "cases": {"training": len(set(cases.groups[inside])), "kept_out": len(set(cases.groups[outside]))},
        },
        data="IQ-OTH/NCCD lung cancer dataset, Mendeley Data, DOI 10.17632/bhmdr45bh2",
        licence="Weights Apache-2.0; data CC BY 4.0 (by secondary evidence)",
    )
    contract = set_decisions(contract, logits, labels, trial.folds, find_sharp(sharpness, labels, trial.folds))
    written = save_model_folder(out, network, contract, golden_inputs(contract.size, contract.geometry), gate)
    save_file({"logits": answers["logits"], "features": answers["features"].half()}, out / ANSWERS)
    with (out / ASSIGNMENT).open("w", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["file", "case", "fold"])
        table.writerows(zip(cases.files, cases.groups.tolist(), trial.folds.tolist(), strict=True))
    write_trials(trial, out / TRIALS)
    return written


def decide_anew(folder: Path, cases: Cases, version: str | None = None) -> ModelContract:
    """Set the decisions of a model folder again from the out-of-fold answers beside it; its weights stay.

    Other decisions are another version of the model: `version`, the present one where it is None.
    """
    kept = Evaluation.read(folder, load_model_folder(folder), cases)
    inside = kept.folds != KEPT_OUT
    least = choose_least_sharpness(kept.sharpness[inside], cases.labels[inside])
    before = kept.folder.contract
    contract = replace(before, version=version or before.version, gate={**before.gate, "least_sharpness": least})
    contract = set_decisions(contract, kept.logits, cases.labels, kept.folds, kept.sharp)
    contract.write(folder)
    return contract


def set_decisions(
    contract: ModelContract,
    logits: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    folds: npt.NDArray[np.int64],
    sharp: npt.NDArray[np.bool_],
) -> ModelContract:
    """The contract with the refer thresholds that fold KEPT_OUT asks for, and the scores across folds.

    Args:
        contract: calibrated.
        logits: (N, C) out-of-fold answers, as the networks gave them.
        labels: (N,).
        folds: (N,).
        sharp: (N,), see `find_sharp`.
    """
    kept_out = folds == KEPT_OUT
    probabilities = Calibration.of(contract).apply(logits[kept_out])
    thresholds = choose_refer_thresholds(probabilities, labels[kept_out], REPORTED_ACCURACY)
    decisions = decide_across_folds(logits, labels, folds, sharp)
    scores = measure(decisions.probabilities, labels) | measure_reported(decisions, labels)
    return replace(
        contract,
        refer_below=dict(zip(contract.classes, thresholds.tolist(), strict=True)),
        metrics={
            "of": f"{FOLDS}-fold cross-validation grouped by case, calibrated across folds; see MODEL_CARD.md",
            **{name: round(value, 4) for name, value in scores.items() if not np.isnan(value)},
        },
    )


def write_trials(trial: Trial, table: Path) -> int:
    """Write a row for each trial in the work folder of `trial`: the folds it has, its uncalibrated scores on them.

    Those that were begun with another seed or other data, or go on from one that was, have other folds and are left
    out. Rows that `table` has of trials that are no longer in the work folder are kept. Returns the number of rows.
    """
    earlier = json.loads(table.read_text()) if table.is_file() else []
    rows = [row for row in earlier if not (trial.work / str(row["trial"]) / RECIPE).is_file()]
    for path in sorted(trial.work.glob(f"*/{RECIPE}")):
        recipe, start = read_recipe(path.read_text()), json.loads((path.parent / CIRCUMSTANCES).read_text())["init"]
        tried = replace(trial, name=path.parent.name, recipe=recipe, init=start)
        if any(part.list_strangers() for part in tried.ancestry):
            continue
        if done := [fold for fold in range(FOLDS) if tried.answers(fold).is_file()]:
            minutes = round(float(tried.collect(done)["minutes"]), 1)
            row = {"trial": tried.name, "folds": done, "recipe": list_changes(recipe), "minutes": minutes}
            common = {"common": score_trial(tried, COMMON)} if set(COMMON) <= set(done) else {}
            rows.append(row | score_trial(tried, done) | common)
    table.write_text(json.dumps(rows, indent=2) + "\n")
    return len(rows)


def score_trial(trial: Trial, folds: Sequence[int]) -> dict[str, float]:
    """Uncalibrated scores of the out-of-fold answers on some folds."""
    logits = trial.collect(folds)["logits"].double().numpy()
    scores = measure(softmax(logits, 1.0), trial.cases.labels[np.isin(trial.folds, folds)])
    return {key: round(value, 4) for key, value in scores.items()}
