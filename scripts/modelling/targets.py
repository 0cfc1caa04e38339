"""What the model was meant to reach, and whether it does."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from lungct_tools.documents.markdown import show
from lungct_tools.modelling.baselines import HISTOGRAM, NEAREST, OUTSIDE, SHARPNESS
from lungct_tools.modelling.metrics import NAMES, REPORTED_ACCURACY

LEAST = {
    "accuracy": ("accuracy, mean of folds", 0.85),
    "balanced_accuracy": ("balanced accuracy, mean of folds", 0.78),
    "malignant_auc": ("AUC of Malignant, mean of folds", 0.97),
    "recall_benign": ("recall of Benign, mean of folds", 0.55),
}
OVER_BASELINE = 0.15
CT_REFUSED = 0.02
PICTURES_REFUSED = {"photo": 0.98, "xray": 0.98, "mri": 0.98}
BRAIN_CAUGHT = 0.90


class Target(NamedTuple):
    """A target as people read it."""

    name: str
    wanted: str
    reached: str
    met: bool


def bracket(interval: list[float] | None) -> str:
    """A 95 % interval, to stand behind its value; nothing where there is none, or a point, which says nothing."""
    return f", {interval[0]:.3f} to {interval[1]:.3f}" if interval and interval[0] < interval[1] else ""


def list_targets(found: dict[str, Any]) -> list[Target]:
    """Every target with what `evaluate` found; those of pictures that were not there are left out."""
    cv, kinds = found["cross_validation"], found["gate"]["kinds"]
    over = cv["margins"]
    others = ", ".join(f"{name} {over[name]:+.3f}" for name in (HISTOGRAM, OUTSIDE, SHARPNESS))
    margins = f"{over[NEAREST]:+.3f}{bracket(cv['margins_intervals'].get(NEAREST))} (over {others})"
    among = {key: share for key, share in cv["scores"].items() if key.startswith("reported_accuracy")}
    reported = {"reported_accuracy": math.nan, **among}  # missed, not left out, where nothing is reported
    targets = [
        Target(
            name,
            f">= {least}",
            f"{cv['mean_of_folds'][key]:.3f}{bracket(cv['mean_of_folds_intervals'].get(key))}",
            cv["mean_of_folds"][key] >= least,
        )
        for key, (name, least) in LEAST.items()
    ]
    targets += [
        Target(
            "accuracy over 1-nearest-neighbour on pixels",
            f">= +{OVER_BASELINE}",
            margins,
            over[NEAREST] >= OVER_BASELINE,
        ),
        *(
            Target(NAMES[key], f">= {REPORTED_ACCURACY}", show(share), share >= REPORTED_ACCURACY)
            for key, share in reported.items()
        ),
    ]
    if features := found["gate"].get("features"):
        refused = features["ct_refused"]  # not by the shipped threshold, which was set on these very slices
        targets.append(
            Target(
                "kept-out CT refused by its features, threshold from the other half of it",
                f"<= {CT_REFUSED:.0%}",
                f"{refused:.1%}",
                refused <= CT_REFUSED,
            )
        )
    for kind, least in PICTURES_REFUSED.items():
        if kind in kinds:
            share = kinds[kind]["refused"]
            targets.append(Target(f"{kind} refused with 422", f">= {least:.0%}", f"{share:.1%}", share >= least))
    if "brain_ct" in kinds:
        share = kinds["brain_ct"]["refused"] + kinds["brain_ct"]["unlike"]
        targets.append(
            Target("brain CT refused or referred", f">= {BRAIN_CAUGHT:.0%}", f"{share:.1%}", share >= BRAIN_CAUGHT)
        )
    for kind, name in (("lidc_dicom", "slices of another scanner"), ("phantom", "phantoms")):
        if kind in kinds:
            share = 1 - kinds[kind]["refused"] - kinds[kind]["error"]
            targets.append(Target(f"{name} scored", "100%", f"{share:.1%}", share == 1))
    return targets
