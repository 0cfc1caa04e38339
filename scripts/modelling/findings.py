"""The sections of the model card that say what was measured; see lungct_tools.modelling.card for the rest."""

from __future__ import annotations

import math
from typing import Any

from lungct.model.contract import ModelContract
from lungct_tools.documents.markdown import show, tabulate
from lungct_tools.modelling.dataset import CLASSES
from lungct_tools.modelling.gatekeeping import REFER_SHARE, REFUSE_MARGIN, REFUSE_SHARE
from lungct_tools.modelling.intervals import DRAWS
from lungct_tools.modelling.metrics import LEAST_SUPPORT, NAMES, REPORTED_ACCURACY
from lungct_tools.modelling.targets import list_targets

EVALUATE = "`lungct evaluate --data DIR`"
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
    folds: list[Row] = [
        (f["fold"], f["slices"], f["cases"], *compare(f["scores"]), show_rank(f["benign_from_normal"]))
        for f in cv["folds"]
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

By fold, which shows how much a score depends on the cases that are asked:

{tabulate(("fold", "slices", "cases", *COMPARED_AS, "AUC, Benign against Normal"), folds)}

Benign against Normal, Malignant slices left out, has an AUC of {cv["benign_from_normal"]:.2f} over all folds (0.5 is
chance): **across cases this network does not tell the two**.

The shipped network alone, on the {shipped["slices"]} slices ({shipped["cases"]} cases: {count_cases(shipped)}) that it
was not trained on. They set its temperature, contrast, bias and thresholds, so this table is **in-sample** for these
and flatters it. The committed answers come out again within
{shipped["largest_difference_from_committed_answers"]:.3f} (weights are stored in half precision):

{tabulate_scores(shipped, list(NAMES)[:6])}"""


def show_rank(auc: float | None) -> str:
    return "none" if auc is None else f"{auc:.2f}"


def show_bound(found: dict[str, Any], key: str) -> str:
    """A score with its interval in brackets."""
    value, interval = found["scores"].get(key, math.nan), found["intervals"].get(key)
    return show(value) + (f" ({show(*interval)})" if interval else "")


def count_cases(found: dict[str, Any]) -> str:
    """The cases of each class in words; a case with slices of two classes counts for both."""
    return ", ".join(f"{count} {name}" for name, count in found["cases_per_class"].items())


def describe_calibration(contract: ModelContract, found: dict[str, Any]) -> str:
    cv = found["cross_validation"]
    contrast = contract.training["benign_normal_contrast"]
    bias = ", ".join(f"{n} {b:+.2f}" for n, b in zip(CLASSES, contract.training["class_bias"], strict=True))
    risk = ", ".join(f"{error:.1%} at {coverage}" for coverage, error in cv["error_at_coverage"].items())
    small_share, small_right = (
        f"{min(values):.2f} to {max(values):.2f}" if (values := cv["set_by_one_fold"][key]) else "none"
        for key in ("reported_share", "reported_accuracy")
    )
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
    shipped = (
        "**As shipped every slice is referred**, whatever its class and confidence: worse copies of slices that a "
        "limit refers passed it, so no limit of confidence is trusted (`lungct trust --data DIR`). "
        if min(contract.refer_below.values()) > 1
        else ""
    )
    return f"""## Calibration and decision

Set on the kept-out cases: a factor of {contrast:.2f} on the difference between
Benign and Normal, which the network tells far less surely than Malignant from both; a bias of each class ({bias}),
because training drew classes more evenly than they come; and temperature {contract.temperature:g}. That there is a
factor and a bias was decided in sight of out-of-fold results. Factor and bias are folded into the shipped weights' last
layer, and so into the maps: **the maps of Benign and Normal are nearly the same**, as only {contrast:.0%} of what
told them apart is left. A difference between the two says nothing.

`decision` is `refer` where the confidence is under the limit of the predicted class: the least from which
{REPORTED_ACCURACY:.0%} of the kept-out slices called that class are right. A class that reaches this at no confidence,
or on fewer than {LEAST_SUPPORT} slices, is always referred. So is a slice of any class that is smoother than
{contract.gate["least_sharpness"]:g} (see above). {shipped}The table has limits as shipped; its counts are out of fold,
with limits that the other four folds set:

{tabulate(("called", "limit as shipped", "slices", "reported", "of them right", "accuracy among reported"), rows)}

Of all slices {cv["scores"]["reported_share"]:.0%} are reported by the limits of folds, and
{show(cv["scores"].get("reported_accuracy", math.nan))} of those are right. Limits of a shipped model rest
on one fold alone, a quarter of that. With calibration and limits set by one fold and judged on the other four,
{small_share} are reported and {small_right} of them are right, from one fold to the next. Fitted across folds, the
expected calibration error goes from {cv["uncalibrated"]["ece"]:.3f} to {cv["scores"]["ece"]:.3f}. Errors by coverage,
the most confident slices first: {risk}. By {EVALUATE}.

![reliability](figures/reliability.png)
![risk and coverage](figures/risk_coverage.png)"""


def describe_gate(contract: ModelContract, found: dict[str, Any]) -> str:
    kinds, features = found["gate"]["kinds"], found["gate"].get("features")
    rows: list[Row] = [
        (kind, k["files"], *(f"{k[key]:.1%}" for key in ("refused", "unlike", "smooth", "accepted")))
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

Before the network: the silhouette must be a body, wider than deep, with air around it and lungs in it (limits drawn
around all slices of the data set, with room), and sharp enough not to be referred. After it: the
Mahalanobis distance of the 512 pooled features to the nearest class of the training data. Over
{contract.gate["refer_above"]:g}
the decision
is `refer` ({REFER_SHARE:.1%} of kept-out CT), over {contract.gate["refuse_above"]:g} the answer is 422 `not_a_ct_slice`
({REFUSE_SHARE:.1%} of kept-out CT, times {REFUSE_MARGIN} for scanners that
were not there). That margin and the shrinkage of the covariance were chosen in sight of the pictures below that are no
chest CT, so their rows flatter the gate; the row `kept_out_ct` is **in-sample**, as these slices set the distances.
Files through the whole server pipeline, engine {found["gate"]["engine"]}, by {EVALUATE}:

{tabulate(("kind", "files", "refused with 422", "referred as unlike", "as smooth", "accepted"), rows)}{alone}"""


def describe_heatmaps(found: dict[str, Any]) -> str:
    h = found["heatmap"]
    cascade = ", ".join(f"{value:.2f} to {name}" for name, value in h["randomised_correlation"].items())
    compared: list[Row] = [
        (name, part["slices"], part["cases"], show_bound(part, "deletion"), show_bound(part, "insertion"))
        for name, part in h["better_than_random"].items()
    ]
    return f"""## Heatmap evidence

On the {h["slices"]} kept-out slices; deletion, insertion, randomisation and repeatability on {h["sample"]} of them,
drawn at
random; probabilities as they are served. By {EVALUATE}.

- Replacing what the map marks by a slice that is called otherwise lowers the probability faster than replacing by a
  shuffled map, and keeping only what it marks keeps the probability better; 50 % is chance:

{tabulate(("called", "slices", "cases", "deletion: better in", "insertion: better in"), compared)}

- With weights randomised from the top down, |correlation| with the true map is {cascade}: a map that ignored the
  weights
  would stay at 1.
- Repeatability, correlation after a shift by 2 pixels: {h["repeatability"]["shift"]:.3f}; after JPEG of quality 75:
  {h["repeatability"]["jpeg"]:.3f}.
- Share of positive evidence outside the body: {h["outside_body"]["mean"]:.1%} on average, 95 % of slices under
  {h["outside_body"]["p95"]:.1%}; a map that is the same everywhere would have {h["outside_body"]["even_map"]:.1%}.
  {h["no_positive_evidence"]:.1%} of slices have no positive evidence for their class.
- Completeness: the mean of a map plus the class's bias is the logit within {h["completeness_error"]:.1e}.

A map is 7 x 7 cells of 32 pixels with wide receptive fields: it points to a region, it does not outline a finding.

![heatmap evidence](figures/heatmap_evidence.png)"""


def describe_failures(found: dict[str, Any]) -> str:
    rows: list[Row] = [
        (f"`{w['file']}`", w["is"], w["called"], w["confidence"]) for w in found["cross_validation"]["worst"]
    ]
    return f"""## Worst failures

The most confident errors about the slices of each class, out of fold, by {EVALUATE}:

{tabulate(("file", "is", "called", "confidence"), rows)}"""
