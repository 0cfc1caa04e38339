"""What an audit finds in a data set, and its report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt
from sklearn.model_selection import StratifiedKFold

from lungct_tools.modelling.baselines import BASELINES, classify
from lungct_tools.modelling.dataset import CLASSES, Cases, split_by_case, write_table
from lungct_tools.modelling.lookalikes import Pairs, correlate_slices, find_copies, find_twins, group_slices

mpl.use("Agg")
Ints = npt.NDArray[np.int64]
FOLDS = 5
LISTED = 1000  # near pairs at most: data of one slice over and over would have them by the million
PSEUDO_CASES = "pseudo_cases.csv"


def count_shapes(cases: Cases) -> dict[str, dict[str, int]]:
    """Slices of each class by rows x columns; a class with shapes of its own can be told by them."""
    counts: dict[str, dict[str, int]] = {name: {} for name in CLASSES}
    for label, pixels in zip(cases.labels, cases.slices, strict=True):
        shape = f"{pixels.shape[0]}x{pixels.shape[1]}"
        counts[CLASSES[label]][shape] = counts[CLASSES[label]].get(shape, 0) + 1
    return counts


def measure_levels(cases: Cases) -> dict[str, dict[str, float]]:
    """Median over each class of the slices' darkest 1 %, median and brightest 1 %; a window of its own shows."""
    levels = np.array([np.quantile(s[::4, ::4], (0.01, 0.5, 0.99)) for s in cases.slices])
    return {
        name: dict(zip(("p1", "p50", "p99"), np.median(levels[cases.labels == c], 0).tolist(), strict=True))
        for c, name in enumerate(CLASSES)
        if (cases.labels == c).any()
    }


def score_baselines(cases: Cases, groups: Ints, seed: int = 0) -> dict[str, dict[str, float]]:
    """Accuracy of each baseline when slices are split at random, and when the slices of a case stay together."""
    at_random = np.empty(len(groups), np.int64)
    shuffled = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(cases.labels, cases.labels)
    for fold, (_, rows) in enumerate(shuffled):
        at_random[rows] = fold
    grouped = split_by_case(replace(cases, groups=groups), FOLDS, seed)
    found = {}
    for name, (describe, classifier) in BASELINES.items():
        features = describe(cases)
        found[name] = {
            split: float((classify(classifier, features, cases.labels, folds).argmax(1) == cases.labels).mean())
            for split, folds in (("random_slices", at_random), ("grouped_cases", grouped))
        }
    return found


def name_pairs(cases: Cases, pairs: Pairs, correlation: npt.NDArray[np.float64]) -> list[tuple[str, str, float]]:
    """Both files of each pair and how alike they are."""
    return [(cases.files[a], cases.files[b], round(float(correlation[a, b]), 4)) for a, b in pairs]


def audit(cases: Cases) -> dict[str, Any]:
    """All findings as JSON knows them; a pair that is near is two files and their correlation."""
    correlation = correlate_slices(cases.slices)
    groups = group_slices(correlation, cases.files, cases.labels)
    twins, copies = find_twins(correlation), find_copies(cases.slices)
    across = [(a, b) for a, b in twins if cases.labels[a] != cases.labels[b]]
    agreed = len(set(zip(groups, cases.groups, strict=True))) == len(set(groups)) == len(set(cases.groups))
    return {
        "slices": len(cases.files),
        "slices_per_class": {name: int((cases.labels == c).sum()) for c, name in enumerate(CLASSES)},
        "pseudo_cases": len(set(groups)),
        "agrees_with_table": agreed if cases.given else None,
        "identical_pairs": [[cases.files[a], cases.files[b]] for a, b in copies],
        "near_pairs": {
            "count": len(twins),
            "listed_at_most": LISTED,
            "most_alike": name_pairs(cases, twins[:LISTED], correlation),
        },
        "cross_class_pairs": name_pairs(cases, across, correlation),
        "shapes": count_shapes(cases),
        "gray_levels": measure_levels(cases),
        "baseline_accuracy": score_baselines(cases, groups),
    }


def draw_contact_sheet(path: Path, cases: Cases, pairs: Pairs, correlation: npt.NDArray[np.float64]) -> None:
    """The first twelve pairs side by side, with file names and correlation."""
    shown = pairs[:12]
    figure, axes = plt.subplots(max(1, (len(shown) + 1) // 2), 4, figsize=(12, 3.2 * max(1, (len(shown) + 1) // 2)))
    for axis in axes.flat:
        axis.axis("off")
    for (a, b), (left, right) in zip(shown, axes.reshape(-1, 2), strict=False):
        for row, axis in ((a, left), (b, right)):
            axis.imshow(cases.slices[row], cmap="gray", vmin=0, vmax=255)
            axis.set_title(f"{cases.files[row]}\nr = {correlation[a, b]:.4f}", fontsize=7)
    figure.savefig(path, dpi=100, bbox_inches="tight")
    plt.close(figure)


def draw_baselines(path: Path, scores: dict[str, dict[str, float]]) -> None:
    """Accuracy of the baselines by split: the gap is what a split by slice would claim without knowing a lung."""
    figure, axis = plt.subplots(figsize=(6, 4))
    for offset, split in ((-0.2, "random_slices"), (0.2, "grouped_cases")):
        bars = axis.bar(np.arange(len(scores)) + offset, [s[split] for s in scores.values()], 0.38)
        axis.bar_label(bars, fmt="%.2f")
        bars.set_label(split.replace("_", " "))
    axis.set(ylim=(0, 1.08), ylabel="accuracy", title="What look-alikes score")
    axis.set_xticks(range(len(scores)), [name.replace(", ", ",\n") for name in scores])
    axis.legend(frameon=False, loc="lower left")
    figure.savefig(path, dpi=100, bbox_inches="tight")
    plt.close(figure)


def write_report(path: Path, found: dict[str, Any]) -> None:
    """The findings for people, in Markdown."""
    shapes = "\n".join(
        f"- {name}: " + ", ".join(f"{count} of {shape}" for shape, count in sorted(counts.items(), key=lambda i: -i[1]))
        for name, counts in found["shapes"].items()
    )
    levels = "\n".join(
        f"- {name}: darkest 1 % {p['p1']:.0f}, median {p['p50']:.0f}, brightest 1 % {p['p99']:.0f}"
        for name, p in found["gray_levels"].items()
    )
    scores = "\n".join(
        f"| {name} | {s['random_slices']:.3f} | {s['grouped_cases']:.3f} |"
        for name, s in found["baseline_accuracy"].items()
    )
    across = "\n".join(f"- `{a}` and `{b}`: {r}" for a, b, r in found["cross_class_pairs"]) or "- none"
    agreement = {
        True: "they agree with the pseudo_case column of cases.csv",
        False: "they DIFFER from the pseudo_case column of cases.csv",
        None: "cases.csv has no column pseudo_case, so training uses these",
    }[found["agrees_with_table"]]
    path.write_text(f"""# Audit of {found["slices"]} slices

{found["pseudo_cases"]} pseudo-cases by look-alikes; {agreement}. `{PSEUDO_CASES}` lists them, slice by slice.
{len(found["identical_pairs"])} pairs of slices are identical, {found["near_pairs"]["count"]} correlate over 0.97;
`audit.json` names them.
Split by case, never by slice.

## Twins in different classes

{across}

![twins](twins.png)

## Short cuts

Shapes, rows x columns:

{shapes}

Gray levels (0-255), median over the class:

{levels}

## What look-alikes score

| baseline | random split of slices | split by case |
|---|---|---|
{scores}

![baselines](baselines.png)
""")


def write_audit(out: Path, cases: Cases) -> dict[str, Any]:
    """Audit the cases; write report, JSON, a cases.csv by look-alikes and figures into `out`; return the findings."""
    found = audit(cases)
    out.mkdir(parents=True, exist_ok=True)
    (out / "audit.json").write_text(json.dumps(found, indent=2) + "\n")
    write_report(out / "report.md", found)
    correlation = correlate_slices(cases.slices)
    # By a name of its own: `out` may be the data folder, whose cases.csv somebody else has made.
    write_table(out / PSEUDO_CASES, replace(cases, groups=group_slices(correlation, cases.files, cases.labels)))
    twins = find_twins(correlation)
    across = [pair for pair in twins if cases.labels[pair[0]] != cases.labels[pair[1]]]
    draw_contact_sheet(out / "twins.png", cases, across + [p for p in twins if p not in across], correlation)
    draw_baselines(out / "baselines.png", found["baseline_accuracy"])
    return found
