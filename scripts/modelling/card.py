"""MODEL_CARD.md, written from model.json, evaluation.json and trials.json so that no number in it can drift."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lungct.model.contract import ModelContract
from lungct_tools.documents.markdown import fill, tabulate
from lungct_tools.modelling.crossvalidation import COMMON
from lungct_tools.modelling.findings import (
    COMPARED_AS,
    Row,
    compare,
    describe_calibration,
    describe_failures,
    describe_gate,
    describe_heatmaps,
    describe_scores,
)
from lungct_tools.modelling.recipe import Recipe
from lungct_tools.modelling.shortcuts import describe_shortcuts


def write_card(folder: Path, contract: ModelContract, found: dict[str, Any], trials: list[dict[str, Any]]) -> None:
    """Write `folder`/MODEL_CARD.md from the contract, the numbers of `evaluate` and the trials of `train`."""
    sections = (
        describe_model(contract, found),
        describe_data(contract, found),
        describe_scores(found),
        describe_shortcuts(found),
        describe_calibration(contract, found),
        describe_gate(contract, found),
        describe_heatmaps(found),
        describe_failures(found),
        describe_limits(),
        describe_reproduction(contract, found),
        describe_trials(trials),
    )
    (folder / "MODEL_CARD.md").write_text(fill("\n\n".join(sections)) + "\n")


def describe_model(contract: ModelContract, found: dict[str, Any]) -> str:
    sha256 = found["model"]["weights_sha256"][:12]
    return f"""# Model card: {contract.name} {contract.version}

**Research use only. Not a medical device; not for diagnosis, triage or any decision about a patient.**

A ResNet18 that sorts one axial lung-CT slice into Normal, Benign or Malignant, with calibrated probabilities, a
decision to report or refer, and Grad-CAM evidence. Weights {sha256}..., {contract.licence}.

**Intended use:** research on classifiers and their explanations; a worked example of serving one. Users: ML engineers
and radiology researchers. **Out of scope:** patients, other organs, whole volumes, finding nodules, other windows than
centre
{contract.window.center:g}, width {contract.window.width:g}."""


def describe_data(contract: ModelContract, found: dict[str, Any]) -> str:
    training, cv = contract.training, found["cross_validation"]
    return f"""## Data and split

{contract.data}: {cv["slices"]} slices of {cv["cases"]} pseudo-cases (CC BY 4.0 by secondary evidence). The data set
names no
patients; slices that look alike were joined to pseudo-cases (`lungct audit`), and no pseudo-case is on both sides
of
any split. Two patients may still share a case, or one patient may be in two.

Five folds, stratified by class (`folds.csv`). The shipped network was trained on four of them
({training["slices"]["training"]} slices of {training["cases"]["training"]} cases); the fifth
({training["slices"]["kept_out"]} slices of {training["cases"]["kept_out"]} cases) set its calibration, refer thresholds
and gate. Which fold that is was fixed before any result was seen. Which trial is shipped was not: it has the highest
balanced accuracy of those that have all five folds (appendix), and fold 0 is one of them, so that its out-of-fold
scores are somewhat too good. A trial on slices cut to the lungs did better on two folds; the server shows whole
slices."""


def describe_limits() -> str:
    return """## Limits

- One data set, two hospitals, a hundred patients, labels of slices and not of patients; nothing says how far the
  scores carry. Published scores of 98 % on it come from splits that put slices of one patient on both sides.
- Benign rests on some 17 cases, and its slices look like Normal ones at 224 pixels: see its recall above before
  reading anything into that class.
- What the network tells apart is the Malignant slices **of this data set** from its others. They differ by more than
  tumours (scanner, table, cut, size), and can be told by what lies outside the body alone, see above: how much of the
  recall of Malignant is a short cut is not known, and on other scanners it may be gone.
- The network reads sharpness, and takes smooth slices for Malignant ("What can be told without looking at a lung").
  The server refers the smoothest; a sharper slice that was smoothed a little passes. Trial `kernels` was trained on
  smoothed and sharpened slices against that, and did not win (appendix).
- Padding with air against squashing to a square was not tried: nearly all slices that are not square are Malignant, and
  a squashed one shows its shape to the network; the padding, which is left, shows it too.
- Confidence is calibrated for slices like these. The gate sees pictures that are no chest CT; it does not see a wrong
  window reliably, and knows nothing of disease outside the lungs.
- Part of the positive evidence lies outside the body ("Heatmap evidence", with what an even map would have there): a
  map that glows in air is a warning about the class, not a finding.
- A slice is not a patient: no volume, no history, no comparison with earlier scans."""


def describe_reproduction(contract: ModelContract, found: dict[str, Any]) -> str:
    training = contract.training
    given = f"--data DIR --init INIT --seed {training['seed']}"
    steps = [f"{given} --trial {part['trial']} --recipe '{part['recipe']}'" for part in training["trials"]]
    commands = "\n".join(f"lungct train cv {step}" for step in steps)
    return f"""## How to reproduce

```
lungct audit --data DIR
{commands}
lungct train ship {given} --trial {training["trials"][-1]["trial"]} --version {contract.version}
lungct quantize --data DIR
lungct evaluate --data DIR
```

INIT is the file {training["init"]}:
ImageNet weights of torchvision (IMAGENET1K_V1) without most of layer4, as a state_dict; `imagenet` fetches all of them.
Training the five networks took {training["minutes"]:.0f} minutes, added up over processes of one thread that shared two
cores of an AMD EPYC of 2021 with other work, without a GPU; evaluating took {found["minutes"]:.0f} minutes. The last
command writes this card."""


def describe_trials(trials: list[dict[str, Any]]) -> str:
    rows: list[Row] = []
    for trial in trials:
        folds = ", ".join(map(str, trial["folds"]))
        rows.append((trial["trial"], f"`{trial['recipe']}`", folds, *compare(trial), trial["minutes"]))
    common: list[Row] = [(trial["trial"], *compare(trial.get("common", {}))) for trial in trials]
    default = ", then ".join(f"{count} epochs at {side} pixels" for count, side in Recipe().schedule)
    return f"""## Appendix: trials

Grouped, out of fold, uncalibrated, over the folds named; by `lungct train cv --trial NAME --recipe JSON`.
The recipe names what differs from the default, {default}, all layers, views cut from the published slices. A
trial may begin with the networks of another.

{tabulate(("trial", "recipe", "folds", *COMPARED_AS, "minutes"), rows)}

Rows over different folds cannot be compared. The same trials on the folds that all of them have,
{" and ".join(map(str, COMMON))}; "none" where the answers of single folds were not kept:

{tabulate(("trial", *COMPARED_AS), common)}"""
