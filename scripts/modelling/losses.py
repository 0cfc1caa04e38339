"""What a model lost and did not learn, for its card: by class, and on scanners that a training did not see."""

from __future__ import annotations

from typing import Any

from lungct_tools.documents.markdown import tabulate
from lungct_tools.modelling.dataset import CLASSES
from lungct_tools.modelling.table import show


def describe_losses(found: dict[str, Any], unseen: dict[str, Any]) -> str:
    labelled, as_read = found["labelled"], found["as_read"]["scores"]
    rows = [(name, *labelled["called"][name].values()) for name in CLASSES]
    told = f"\n\n{describe_clear(found, unseen)}" if "free_of_nodules" in found else ""
    return f"""## What the classes hold

On the {labelled["slices"]} slices of {labelled["cases"]} cases of IQ-OTH/NCCD that it did not see, this model has an
accuracy of {show(labelled["accuracy"])} and a balanced one of {show(labelled["balanced_accuracy"])}. Much of that data
set's Malignant is collapse, effusion or hilar disease, which is in no paste; its Benign is not learnable as labelled
(chance with two backbones) and was left out of training.

{tabulate(("is", *(f"called {name}" for name in CLASSES)), rows)}{told}

Without any augmentation or enlargement, nodules as large as they are: balanced accuracy
{show(as_read["balanced_accuracy"])}, nodule present AUC {show(as_read["present_auc_0mm"])}, Benign against Malignant
{show(as_read["benign_malignant_auc"])}, by diameter alone {show(as_read["diameter_alone_auc"])}: size tells most of it.
The strongest cell of the class lies on the pasted nodule in
{show(found["pasted"]["strongest_cell_on_nodule"]["share"], True)}."""


def describe_clear(found: dict[str, Any], unseen: dict[str, Any]) -> str:
    """What is said of nodule-free slices of other scanners by this model, and by one that was trained without them."""
    shown = ("called_malignant", "refused", "reported_malignant")
    head = ["patient", "slices", "called Malignant", "refused by the gate", "reported Malignant"]
    rows = [
        [group.partition(":")[2], part["slices"], *(show(part[key], True) for key in shown)]
        for group, part in found["free_of_nodules"].items()
    ]
    without = unseen.get("patients", {})
    if without:
        head += ["without it: called Malignant", "balanced accuracy", "nodule present AUC"]
        for row, group in zip(rows, found["free_of_nodules"], strict=True):
            part = without[group]
            row += [show(part["called_malignant"], True), show(part["balanced_accuracy"]), show(part["present_auc"])]
    images = sum(count for count, _ in unseen["recipe"]["views"]) if without else 0
    pasted = next(iter(without.values()))["pasted"] if without else 0
    told = (
        f"""So `lungct unseen` left each out once: {images:,} images from {unseen["init"]}, far fewer than
this model saw, judged by that patient's slices as they are and with nodules of unseen patients in {pasted} of them"""
        if without
        else "No patient was left out to judge that"
    )
    return f"""Nodule-free LIDC slices, all of which were backgrounds of the training, so that this says that they were
learned, not that others would be. {told}:

{tabulate(tuple(head), rows)}"""
