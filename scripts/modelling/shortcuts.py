"""The section of the model card on what can be told without looking at a lung."""

from __future__ import annotations

from typing import Any

from lungct_tools.documents.markdown import show, tabulate
from lungct_tools.modelling.baselines import OUTSIDE, SHARPNESS
from lungct_tools.modelling.findings import COMPARED_AS, EVALUATE, Row, compare, show_bound
from lungct_tools.modelling.gatekeeping import SMOOTH_SHARE


def describe_shortcuts(found: dict[str, Any]) -> str:
    cv = found["cross_validation"]
    rows: list[Row] = [
        ("**this model**, as decided", *compare(cv["scores"])),
        ("this model, not calibrated", *compare(cv["uncalibrated"])),
        *((name, *compare(scores)) for name, scores in cv["baselines"].items()),
    ]
    outside, sharpness = cv["baselines"][OUTSIDE], cv["baselines"][SHARPNESS]
    changed: list[Row] = [
        (name, *(show_bound(part, key) for key in ("accuracy", "recall_malignant", "malignant_auc")))
        for name, part in found["surroundings"].items()
    ]
    smoothed: list[Row] = [
        (
            f"{row['sigma']:g}" if row["sigma"] else "as they are",
            *(f"{row[key]:.0%}" for key in ("called_malignant", "reported_without_gate", "smooth", "reported")),
        )
        for row in found["smoothing"]
    ]
    cases = found["shipped"]["cases_per_class"]["Malignant"]
    return f"""## What can be told without looking at a lung

Classifiers that see no lung, on the same folds: 1-nearest-neighbour on pixels, and logistic regression on the histogram
of gray levels, of the whole slice and of the pixels **outside the body only** (its outline, widened by 8 of 224
pixels; no padding, size or shape, only levels), and on **sharpness alone** (one number: power of second differences
over that of first ones inside the body). By {EVALUATE}.

{tabulate(("out of fold", *COMPARED_AS), rows)}

The shipped network on its kept-out slices, changed strictly outside the body: all air, or what surrounds the body in a
slice of another class. Intervals by case; Malignant are {cases} cases.

{tabulate(("kept-out slices", "accuracy", "Malignant recall", "Malignant AUC"), changed)}

The kept-out slices that are **not** Malignant, smoothed by a Gaussian:

{
        tabulate(
            (
                "sigma, of 512 pixels",
                "called Malignant",
                "reported so by confidence alone",
                "referred as smooth",
                "reported as served",
            ),
            smoothed,
        )
    }

What lies outside a body is no disease: it is scanner, table and field of view; nor is sharpness, which is the kernel
that a slice was reconstructed with. Gray levels outside the body tell Malignant from the rest with an AUC of
{show(outside["malignant_auc"])}, sharpness alone with {show(sharpness["malignant_auc"])}, this model with
{show(cv["scores"]["malignant_auc"])} ({show(cv["uncalibrated"]["malignant_auc"])} before each fold is calibrated by
itself). So **neither its AUC nor its recall of Malignant is evidence that it sees tumours**; where the table of
smoothed slices rises, it takes smoothness for Malignant. The server refers slices smoother than where the slices of a
second class begin (a share of {SMOOTH_SHARE:g} of them is smoother). What can be said is that this model tells the
Malignant slices of this data set from its others; by what, these tables leave open."""
