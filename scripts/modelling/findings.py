"""The sections of the model card that say what was measured; see scripts.modelling.card for the rest."""

from __future__ import annotations

import math
from typing import Any

from lungct.model import ModelContract

from scripts.markdown import show, tabulate
from scripts.modelling.baselines import OUTSIDE
from scripts.modelling.dataset import CLASSES
from scripts.modelling.gatekeeping import REFER_SHARE, REFUSE_MARGIN, REFUSE_SHARE
from scripts.modelling.intervals import DRAWS
from scripts.modelling.metrics import LEAST_SUPPORT, NAMES, REPORTED_ACCURACY
from scripts.modelling.surroundings import AS_IS, SWAPPED
from scripts.modelling.targets import list_targets

EVALUATE = "`python scripts/evaluate.py --data DIR`"
COMPARED = ("accuracy", "balanced_accuracy", "recall_benign", "malignant_auc")
COMPARED_AS = ("accuracy", "balanced", "Benign recall", "Malignant AUC")
Row = tuple[object, ...]


def compare(scores: dict[str, float]) -> list[str]:
    """The COMPARED scores as cells of a table; "none" for one that is not there."""
    return [show(scores.get(key, math.nan)) for key in COMPARED]


def tabulate_scores(found: dict[str, Any], keys: list[str]) -> str:
    """Scores with their intervals, from what `bound_scores` found."""
    rows: list[Row] = []
    for key in keys:
        interval = show(*found["intervals"].get(key, (math.nan,)))
        how = f" (exact, {found['exact'][key]} cases)" if key in found["exact"] else ""
        rows.append((NAMES[key], show(found["scores"].get(key, math.nan)), interval + how))
    return tabulate(("score", "value", "95 % interval"), rows)


def describe_scores(found: dict[str, Any]) -> str:
    cv, shipped = found["cross_validation"], found["shipped"]
    counts: list[Row] = [(f"is {name}", *row) for name, row in zip(CLASSES, cv["confusion"], strict=True)]
    goals: list[Row] = [
        (t.name, t.wanted, t.reached, "reached" if t.met else "**missed**") for t in list_targets(found)
    ]
    return f"""## Results

Out of fold: every slice is scored by the network that did not see its fold, and calibrated and decided by the other
folds. Cases: {count_cases(cv)}. Intervals: 95 %, {DRAWS} bootstrap draws of whole cases; where no draw differs, and a
bootstrap so says nothing, the exact one (Clopper & Pearson) of a share of so many cases, or none for what is no share.
All by {EVALUATE}.

{tabulate_scores(cv, list(NAMES))}

Against what was aimed at:

{tabulate(("", "target", "reached", ""), goals)}

{tabulate(("slices", *(f"called {name}" for name in CLASSES)), counts)}

![confusion](figures/confusion.png)

The shipped network alone, on the {shipped["slices"]} slices ({shipped["cases"]} cases: {count_cases(shipped)}) that it
was not trained on. They set its temperature, contrast, bias and thresholds, so this table is **in-sample** for these
and flatters it. The committed answers come out again within
{shipped["largest_difference_from_committed_answers"]:.3f} (weights are stored in half precision):

{tabulate_scores(shipped, list(NAMES)[:6])}"""


def count_cases(found: dict[str, Any]) -> str:
    """The cases of each class in words; a case with slices of two classes counts for both."""
    return ", ".join(f"{count} {name}" for name, count in found["cases_per_class"].items())


def describe_shortcuts(found: dict[str, Any]) -> str:
    cv = found["cross_validation"]
    rows: list[Row] = [
        ("**this model**, as decided", *compare(cv["scores"])),
        ("this model, not calibrated", *compare(cv["uncalibrated"])),
        *((name, *compare(scores)) for name, scores in cv["baselines"].items()),
    ]
    outside = cv["baselines"][OUTSIDE]
    kept, swapped = (found["surroundings"][name].get("recall_malignant", math.nan) for name in (AS_IS, SWAPPED))
    changed: list[Row] = [
        (name, show(s["accuracy"]), show(s.get("recall_malignant", math.nan)), show(s.get("malignant_auc", math.nan)))
        for name, s in found["surroundings"].items()
    ]
    return f"""## What can be told without looking at a lung

Classifiers that see no lung, on the same folds: 1-nearest-neighbour on pixels, and logistic regression on the histogram
of gray levels, of the whole slice and of the pixels **outside the body only** (its outline, widened by 8 of 224
pixels; no size or shape, only levels). By {EVALUATE}.

{tabulate(("out of fold", *COMPARED_AS), rows)}

The shipped network on its kept-out slices, changed strictly outside the body: all air, or what surrounds the body in a
slice of another class.

{tabulate(("kept-out slices", "accuracy", "Malignant recall", "Malignant AUC"), changed)}

What lies outside a body is no disease: it is scanner, table and field of view. Gray levels read there alone tell
Malignant from the rest with an AUC of {show(outside["malignant_auc"])}, this model with
{show(cv["scores"]["malignant_auc"])} ({show(cv["uncalibrated"]["malignant_auc"])} before each fold is calibrated by
itself). So **neither its AUC nor its recall of Malignant is evidence that it sees tumours**. It does not live by the
surroundings alone: with those of another class it still finds {swapped:.0%} of the Malignant slices, instead of
{kept:.0%}; but the inside of a body, too, bears the marks of its scanner. What can be said is that this model tells the
Malignant slices of this data set from its others; by what, these tables leave open."""


def describe_calibration(contract: ModelContract, found: dict[str, Any]) -> str:
    cv = found["cross_validation"]
    contrast = contract.training["benign_normal_contrast"]
    bias = ", ".join(f"{n} {b:+.2f}" for n, b in zip(CLASSES, contract.training["class_bias"], strict=True))
    risk = ", ".join(f"{error:.1%} at {coverage}" for coverage, error in cv["error_at_coverage"].items())
    rows: list[Row] = [
        (
            name,
            "all are referred" if contract.refer_below[name] > 1 else f"{contract.refer_below[name]:g}",
            counts["called"],
            counts["reported"],
            counts["right"],
            show(cv["scores"].get(f"reported_accuracy_{name.lower()}", math.nan)),
        )
        for name, counts in cv["reported"].items()
    ]
    return f"""## Calibration and decision

Set on the kept-out cases: a factor of {contrast:.2f} on the difference between
Benign and Normal, which the network tells far less surely than Malignant from both; a bias of each class ({bias}),
because training drew classes more evenly than they come; and temperature {contract.temperature:g}. That there is a
factor and a bias was decided in sight of out-of-fold results. Factor and bias are folded into the shipped weights' last
layer, and so into the maps: **the maps of Benign and Normal are nearly the same**, as only {contrast:.0%} of what
told them apart is left. A difference between the two says nothing.

`decision` is `refer` where the confidence is under the limit of the predicted class: the least from which
{REPORTED_ACCURACY:.0%} of the kept-out slices called that class are right. A class that reaches this at no confidence,
or on fewer than {LEAST_SUPPORT} slices, is always referred. Limits as shipped, counts out of fold with limits set by
the other folds in the same way:

{tabulate(("called", "limit", "slices", "reported", "of them right", "accuracy among reported"), rows)}

Of all slices {cv["scores"]["reported_share"]:.0%} are reported, and
{show(cv["scores"].get("reported_accuracy", math.nan))} of those are right. Fitted across folds, the expected
calibration error goes from {cv["uncalibrated"]["ece"]:.3f} to {cv["scores"]["ece"]:.3f}. Errors by coverage, the most
confident slices first: {risk}. By {EVALUATE}.

![reliability](figures/reliability.png)
![risk and coverage](figures/risk_coverage.png)"""


def describe_gate(contract: ModelContract, found: dict[str, Any]) -> str:
    kinds, features = found["gate"]["kinds"], found["gate"].get("features")
    rows: list[Row] = [
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
were not there). That margin and the shrinkage of the covariance were chosen in sight of the pictures below that are no
chest CT, so their rows flatter the gate; the row `kept_out_ct` is **in-sample**, as these slices set the distances.
Files through the whole server pipeline, by {EVALUATE}:

{tabulate(("kind", "files", "refused with 422", "referred as unlike", "accepted"), rows)}{alone}"""


def describe_heatmaps(found: dict[str, Any]) -> str:
    h = found["heatmap"]
    cascade = ", ".join(f"{value:.2f} to {name}" for name, value in h["randomised_correlation"].items())
    return f"""## Heatmap evidence

On the {h["slices"]} kept-out slices; deletion, insertion, randomisation and repeatability on {h["sample"]} of them,
drawn at
random; probabilities as they are served. By {EVALUATE}.

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
    rows: list[Row] = [
        (f"`{w['file']}`", w["is"], w["called"], w["confidence"]) for w in found["cross_validation"]["worst"]
    ]
    return f"""## Worst failures

The most confident errors out of fold, by {EVALUATE}:

{tabulate(("file", "is", "called", "confidence"), rows)}"""
