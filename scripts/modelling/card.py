"""MODEL_CARD.md, written from model.json, evaluation.json and trials.json so that no number in it can drift."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lungct.model import ModelContract

from scripts.markdown import fill, show, tabulate
from scripts.modelling.dataset import CLASSES
from scripts.modelling.gatekeeping import REFER_SHARE, REFUSE_MARGIN, REFUSE_SHARE
from scripts.modelling.metrics import DRAWS, NAMES
from scripts.modelling.recipe import Recipe
from scripts.modelling.targets import REPORTED_ACCURACY, list_targets

EVALUATE = "`python scripts/evaluate.py --data DIR`"


def write_card(folder: Path, contract: ModelContract, found: dict[str, Any], trials: list[dict[str, Any]]) -> None:
    """Write `folder`/MODEL_CARD.md from the contract, the numbers of `evaluate` and the trials of `train`."""
    sections = (
        describe_model(contract, found),
        describe_data(contract, found),
        describe_scores(found),
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
patients; slices that look alike were joined to pseudo-cases (`scripts/audit.py`), and no pseudo-case is on both sides
of
any split. Two patients may still share a case, or one patient may be in two.

Five folds, stratified by class (`folds.csv`). The shipped network was trained on four of them
({training["slices"]["training"]} slices of {training["cases"]["training"]} cases); the fifth
({training["slices"]["kept_out"]} slices of {training["cases"]["kept_out"]} cases) set its temperature, refer threshold
and gate. Which fold that is was fixed before any result was seen."""


def describe_scores(found: dict[str, Any]) -> str:
    cv, shipped = found["cross_validation"], found["shipped"]
    rows: list[tuple[object, ...]] = [(NAMES[k], show(v), show(*cv["intervals"][k])) for k, v in cv["scores"].items()]
    own: list[tuple[object, ...]] = [
        (NAMES[k], show(shipped["scores"][k]), show(*shipped["intervals"][k])) for k in list(NAMES)[:6]
    ]
    counts: list[tuple[object, ...]] = [
        (f"is {name}", *row) for name, row in zip(CLASSES, cv["confusion"], strict=True)
    ]
    goals: list[tuple[object, ...]] = [
        (t.name, t.wanted, t.reached, "reached" if t.met else "**missed**") for t in list_targets(found)
    ]
    return f"""## Results

Out of fold: every slice is scored by the network that did not see its fold, and calibrated and decided by the other
folds. Intervals: 95 %, {DRAWS} bootstrap draws of whole cases. All by {EVALUATE}.

{tabulate(("score", "value", "95 % interval"), rows)}

Against what was aimed at:

{tabulate(("", "target", "reached", ""), goals)}

{tabulate(("slices", *(f"called {name}" for name in CLASSES)), counts)}

![confusion](figures/confusion.png)

Accuracy of two classifiers that see no shape, with the same folds: 1-nearest-neighbour on 64 x 64 pixels
{cv["nearest_neighbour_accuracy"]:.3f}, logistic regression on the histogram of gray levels
{cv["histogram_accuracy"]:.3f}.

The shipped network alone, on its {shipped["slices"]} kept-out slices ({shipped["cases"]} cases); its committed
answers come out again within {shipped["largest_difference_from_committed_answers"]:.3f} (weights are stored in half
precision):

{tabulate(("score", "value", "95 % interval"), own)}"""


def describe_calibration(contract: ModelContract, found: dict[str, Any]) -> str:
    cv = found["cross_validation"]
    bias = ", ".join(f"{n} {b:+.2f}" for n, b in zip(CLASSES, contract.training["class_bias"], strict=True))
    risk = ", ".join(f"{error:.1%} at {coverage}" for coverage, error in cv["error_at_coverage"].items())
    return f"""## Calibration and decision

Set on the kept-out cases: a factor of {contract.training["benign_normal_contrast"]:.2f} on the difference between
Benign and Normal, which the network tells far less surely than Malignant from both; a bias of each class ({bias}),
because training drew classes more evenly than they come; and temperature {contract.temperature:g}. Factor and bias are
part of the shipped weights' last layer, and so of the maps. That there is a factor and a bias was decided in sight of
out-of-fold results. `decision` is `refer`
where the confidence is under {contract.refer_below:g}, the least at which {REPORTED_ACCURACY:.0%} of the reported
kept-out slices are right. Fitted across folds,
the expected calibration error goes from {cv["uncalibrated_ece"]:.3f} to {cv["scores"]["ece"]:.3f}; with
thresholds set the same way, {cv["scores"]["reported_share"]:.0%} of slices are reported and
{show(cv["scores"]["reported_accuracy"])} of those are right. Errors by coverage: {risk}. By {EVALUATE}.

![reliability](figures/reliability.png)
![risk and coverage](figures/risk_coverage.png)"""


def describe_gate(contract: ModelContract, found: dict[str, Any]) -> str:
    kinds, features = found["gate"]["kinds"], found["gate"].get("features")
    rows: list[tuple[object, ...]] = [
        (kind, k["files"], f"{k['refused']:.1%}", f"{k['unlike']:.1%}", f"{k['accepted']:.1%}")
        for kind, k in kinds.items()
    ]
    alone = (
        ""
        if features is None
        else f"""

The distance alone, thresholds set on one half of the kept-out cases and judged on the other:
{features["ct_refused"]:.1%} of CT
refused, {features["ct_referred"]:.1%} referred. At the same false refusal it catches {features["others_caught"]:.1%}
of the
pictures that are no chest CT; the mean distance to five neighbours catches
{features["others_caught_by_neighbours"]:.1%}."""
    )
    return f"""## Gate

Before the network: the silhouette must be a body, wider than deep, with air around it and lungs in it. After it: the
Mahalanobis distance of the 512 pooled features to the nearest class of the training data. Over
{contract.gate["refer_above"]:g}
the decision
is `refer` ({REFER_SHARE:.1%} of kept-out CT), over {contract.gate["refuse_above"]:g} the answer is 422 `not_a_ct_slice`
({REFUSE_SHARE:.1%} of kept-out CT, times {REFUSE_MARGIN} for scanners that
were not there; the margin was chosen in sight of the pictures below). Files through the whole server pipeline, by
{EVALUATE}:

{tabulate(("kind", "files", "refused with 422", "referred as unlike", "accepted"), rows)}{alone}"""


def describe_heatmaps(found: dict[str, Any]) -> str:
    h = found["heatmap"]
    cascade = ", ".join(f"{value:.2f} to {name}" for name, value in h["randomised_correlation"].items())
    return f"""## Heatmap evidence

On the {h["slices"]} kept-out slices; deletion, insertion, randomisation and repeatability on {h["sample"]} of them,
drawn at
random. By {EVALUATE}.

- Blurring what the map marks lowers the probability faster than a shuffled map in
  {h["better_than_random"]["deletion"]:.0%} of
  slices; keeping it sharp keeps the probability better in {h["better_than_random"]["insertion"]:.0%} (50 % would be
  chance).
- With weights randomised from the top down, |correlation| with the true map is {cascade}: a map that ignored the
  weights
  would stay at 1.
- Repeatability, correlation after a shift by 2 pixels: {h["repeatability"]["shift"]:.3f}; after JPEG of quality 75:
  {h["repeatability"]["jpeg"]:.3f}.
- Share of positive evidence outside the body: {h["outside_body"]["mean"]:.1%} on average, 95 % of slices under
  {h["outside_body"]["p95"]:.1%}. {h["no_positive_evidence"]:.1%} of slices have no positive evidence for their class.
- Completeness: the mean of a map plus the class's bias is the logit within {h["completeness_error"]:.1e}.

A map is 7 x 7 cells of 32 pixels with wide receptive fields: it points to a region, it does not outline a finding.

![heatmap evidence](figures/heatmap_evidence.png)"""


def describe_failures(found: dict[str, Any]) -> str:
    rows: list[tuple[object, ...]] = [
        (f"`{w['file']}`", w["is"], w["called"], w["confidence"]) for w in found["cross_validation"]["worst"]
    ]
    return f"""## Worst failures

The most confident errors out of fold, by {EVALUATE}:

{tabulate(("file", "is", "called", "confidence"), rows)}"""


def describe_limits() -> str:
    return """## Limits

- One data set, two hospitals, a hundred patients, labels of slices and not of patients; nothing says how far the
  scores carry. Published scores of 98 % on it come from splits that put slices of one patient on both sides.
- Benign rests on some 17 cases, and its slices look like Normal ones at 224 pixels: see its recall above before
  reading anything into that class. What the network tells apart is Malignant from the rest.
- Malignant slices of this data set differ from the others by more than tumours (scanner, cut, size): a part of that
  recall may be a short cut. The audit lists the ones that are known.
- The network reads sharpness: trained on slices resized by way of 256 pixels (trial `full`) and scored as they are
  served, it misses Malignant slices. Files smoothed or resized before they are sent may be scored otherwise.
- Confidence is calibrated for slices like these. The gate sees pictures that are no chest CT; it does not see a wrong
  window reliably, and knows nothing of disease outside the lungs.
- Much of the positive evidence lies outside the body: the network also uses what surrounds a patient (table, field of
  view), so a map that glows in air is a warning about the class, not a finding.
- A slice is not a patient: no volume, no history, no comparison with earlier scans."""


def describe_reproduction(contract: ModelContract, found: dict[str, Any]) -> str:
    training = contract.training
    given = f"--data DIR --init {training['init']} --seed {training['seed']}"
    steps = [f"{given} --trial {part['trial']} --recipe '{part['recipe']}'" for part in training["trials"]]
    commands = "\n".join(f"python scripts/train.py cv {step}" for step in steps)
    return f"""## How to reproduce

```
python scripts/audit.py --data DIR
{commands}
python scripts/train.py ship {given} --trial {training["trials"][-1]["trial"]} --version {contract.version}
python scripts/quantize.py --data DIR
python scripts/evaluate.py --data DIR
```

Training the five networks took {training["minutes"]:.0f} minutes, added up over processes of one thread that shared two
cores of an AMD EPYC of 2021 with other work, without a GPU; evaluating took {found["minutes"]:.0f} minutes. The last
command writes this card."""


def describe_trials(trials: list[dict[str, Any]]) -> str:
    rows: list[tuple[object, ...]] = []
    for trial in trials:
        scores = (f"{trial[k]:.3f}" for k in ("accuracy", "balanced_accuracy", "recall_benign", "malignant_auc"))
        rows.append(
            (trial["trial"], f"`{trial['recipe']}`", ", ".join(map(str, trial["folds"])), *scores, trial["minutes"])
        )
    header = ("trial", "recipe", "folds", "accuracy", "balanced", "Benign recall", "Malignant AUC", "minutes")
    default = ", then ".join(f"{count} epochs at {side} pixels" for count, side in Recipe().schedule)
    return f"""## Appendix: trials

Grouped, out of fold, uncalibrated, over the folds named; by `python scripts/train.py cv --trial NAME --recipe JSON`.
The recipe names what differs from the default, {default}, all layers, views cut from the published slices. A
trial may begin with the networks of another.

{tabulate(header, rows)}"""
