"""The figures of the model card: drawn from numbers alone, never from slices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from sklearn.metrics import ConfusionMatrixDisplay

from lungct_tools.modelling.dataset import CLASSES
from lungct_tools.modelling.judgement import Evaluation
from lungct_tools.modelling.metrics import softmax, trace_risk

mpl.use("Agg")
STYLE = {"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 110}
BLUE, ORANGE, GRAY = "#2b6cb0", "#dd6b20", "#718096"
BINS = np.linspace(0, 1, 11)


def draw_figures(folder: Path, evaluation: Evaluation, found: dict[str, Any]) -> None:
    """Write reliability.png, risk_coverage.png, confusion.png and heatmap_evidence.png into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    decisions = evaluation.decide()
    labels = evaluation.cases.labels
    drawings = {
        "reliability": lambda: draw_reliability(softmax(evaluation.logits, 1.0), decisions.probabilities, labels),
        "risk_coverage": lambda: draw_risk(decisions.probabilities, labels, float(decisions.reported.mean())),
        "confusion": lambda: draw_confusion(np.array(found["cross_validation"]["confusion"])),
        "heatmap_evidence": lambda: draw_evidence(found["heatmap"]),
    }
    with mpl.rc_context(STYLE):
        for name, draw in drawings.items():
            figure = draw()
            figure.savefig(folder / f"{name}.png", bbox_inches="tight", metadata={"Software": None})
            plt.close(figure)


def draw_reliability(raw: np.ndarray, calibrated: np.ndarray, labels: np.ndarray) -> plt.Figure:
    """Accuracy against confidence, before and after calibration; the bars below count slices."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(6, 6.4), height_ratios=(3, 1), sharex=True)
    top.plot([0, 1], [0, 1], "--", color=GRAY, label="perfect")
    for probabilities, colour, name in ((raw, ORANGE, "as trained"), (calibrated, BLUE, "calibrated")):
        confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
        which = np.clip(np.digitize(confidence, BINS) - 1, 0, 9)
        filled = [b for b in range(10) if (which == b).sum() >= 5]
        means = [(confidence[which == b].mean(), right[which == b].mean()) for b in filled]
        top.plot(*zip(*means, strict=True), "o-", color=colour, label=name)
    bottom.hist(calibrated.max(1), BINS, color=BLUE, rwidth=0.9)
    top.set(ylabel="share that is right", ylim=(0, 1.03), title="Reliability, out of fold (bands of 5 slices or more)")
    bottom.set(xlabel="confidence", ylabel="slices", xlim=(0.3, 1.01))
    top.legend(frameon=False)
    return figure


def draw_risk(probabilities: np.ndarray, labels: np.ndarray, reported: float) -> plt.Figure:
    """Error rate of the most confident slices against how many of them are answered."""
    coverage, risk = trace_risk(probabilities, labels)
    figure, axis = plt.subplots(figsize=(6, 4))
    axis.plot(coverage, risk, color=BLUE, lw=2)
    axis.axhline(0.05, color=GRAY, ls="--", label="target: 5 % errors among reported")
    axis.axvline(reported, color=ORANGE, label=f"reported with thresholds set across folds: {reported:.0%}")
    axis.set(
        xlabel="share of slices answered, most confident first",
        ylabel="errors among them",
        ylim=(0, max(0.3, risk[-1] * 1.2)),
        title="Risk and coverage, out of fold",
    )
    axis.legend(frameon=False, loc="upper left")
    return figure


def draw_confusion(counts: np.ndarray) -> plt.Figure:
    """Slices by true and predicted class."""
    figure, axis = plt.subplots(figsize=(5, 4.4))
    display = ConfusionMatrixDisplay(counts, display_labels=CLASSES)
    display.plot(ax=axis, cmap="Blues", colorbar=False, values_format="d")
    axis.set(title="Slices, out of fold", xlabel="called", ylabel="is")
    return figure


def draw_evidence(heatmap: dict[str, Any]) -> plt.Figure:
    """Deletion and insertion against random maps, and what is left of a map when weights are randomised."""
    figure, axes = plt.subplots(1, 3, figsize=(14, 4))
    for axis, kind in zip(axes, ("deletion", "insertion"), strict=False):
        for of, colour in (("map", BLUE), ("random", GRAY)):
            name = "heatmap" if of == "map" else "random map"
            axis.plot(heatmap["shares"], heatmap["curves"][f"{kind}_{of}"], "o-", color=colour, label=name)
        verb = "replaced" if kind == "deletion" else "kept"
        axis.set(xlabel=f"share of pixels {verb}", ylabel="probability of the class", ylim=(0, 1), title=kind.title())
        axis.legend(frameon=False)
    cascade = heatmap["randomised_correlation"]
    axes[2].bar(list(cascade), list(cascade.values()), color=ORANGE)
    axes[2].set(ylim=(0, 1), title="Randomised from the top down to", ylabel="|correlation| with the map")
    figure.tight_layout()
    return figure
