"""What the model answers on real slices, by source, and what of it is reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lungct_tools.modelling.asking import Answers, ask
from lungct_tools.modelling.dataset import BENIGN, CLASSES, MALIGNANT, NORMAL
from lungct_tools.modelling.decision import forgive
from lungct_tools.modelling.intervals import cover, resample_cases, tell_share
from lungct_tools.modelling.judge import Judge, rank, share
from lungct_tools.modelling.sources import Box, Known, sets_limits

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
WORST = 4  # of each class, in the card
SIDE = 512  # pixels, of the slices that have boxes


def touches(evidence: Floats, box: Box) -> bool:
    """Whether the strongest cell of a map (h, w) touches a box in pixels of a slice of SIDE."""
    row, column = np.unravel_index(int(evidence.argmax()), evidence.shape)
    cell = SIDE / evidence.shape[0]
    return bool(
        column * cell < box.x1 and (column + 1) * cell > box.x0 and row * cell < box.y1 and (row + 1) * cell > box.y0
    )


def judge_boxed(known: list[Known], answers: Answers, served: Answers) -> dict[str, Any]:
    """Series with a tumour that was boxed: does the map point there, and do slices without it score lower?"""
    labels = np.array([one.label for one in known])
    series = np.array([one.series for one in known])
    malignant = answers.probabilities[:, MALIGNANT]
    far = labels == NORMAL
    return {
        "boxes": int((labels == MALIGNANT).sum()),
        "touched": sum(
            touches(answers.maps[row, MALIGNANT], one.box) for row, one in enumerate(known) if one.box is not None
        ),
        "auc_by_series": {
            name: rank(malignant[rows], labels[rows] == MALIGNANT)
            for name in sorted(set(series))
            if (rows := (series == name) & (labels >= 0)).any()
        },
        "far_slices": int(far.sum()),
        "far_called_malignant": share((answers.called == MALIGNANT)[far]),
        "far_reported_malignant": share(((served.called == MALIGNANT) & served.reported)[far]),
        "tumour_called_malignant": share((answers.called == MALIGNANT)[labels == MALIGNANT]),
    }


def judge_series(known: list[Known], answers: Answers, served: Answers) -> dict[str, Any]:
    """One series with one nodule: where its slice ranks, and what is said of the others."""
    holding = np.array([one.nodule for one in known])
    order = {
        "anything": 1 - answers.probabilities[:, NORMAL],
        "malignant": answers.probabilities[:, MALIGNANT],
    }
    return {
        "slices": len(known),
        "rank": {name: int((values > values[holding].max()).sum()) + 1 for name, values in order.items()},
        "free_called_malignant": int(((answers.called == MALIGNANT) & ~holding).sum()),
        "free_reported_malignant": int(((served.called == MALIGNANT) & served.reported & ~holding).sum()),
    }


def judge_labelled(known: list[Known], answers: Answers) -> dict[str, Any]:
    """The labelled data set, without the slices that were trained on."""
    labels, groups = np.array([one.label for one in known]), np.array([one.group for one in known])
    pair, normal = np.flatnonzero(labels != BENIGN), labels == NORMAL

    def score(rows: Ints) -> dict[str, float]:
        auc = rank(answers.probabilities[pair[rows], MALIGNANT], labels[pair[rows]] == MALIGNANT)
        return {"malignant_normal_auc": float("nan") if auc is None else auc}

    recalls = [share((answers.called == label)[labels == label]) for label in range(len(CLASSES))]
    known_recalls = [recall for recall in recalls if recall is not None]
    return {
        "slices": len(known),
        "cases": len(set(groups)),
        "malignant_normal_auc": rank(answers.probabilities[pair, MALIGNANT], labels[pair] == MALIGNANT),
        "interval": resample_cases(score, groups[pair]).get("malignant_normal_auc"),
        "normal_called_malignant": tell_share((answers.called == MALIGNANT)[normal], groups[normal]),
        "accuracy": share(answers.called == labels),
        "balanced_accuracy": float(np.mean(known_recalls)) if known_recalls else None,
        "called": {
            name: dict(zip(CLASSES, np.bincount(answers.called[labels == index], minlength=3).tolist(), strict=True))
            for index, name in enumerate(CLASSES)
        },
    }


def judge_free(known: list[Known], free: Answers, served: Answers) -> dict[str, Any]:
    """Nodule-free slices of other scanners, all of which were backgrounds of the training, by patient."""
    groups = np.array([one.group for one in known])
    return {
        group: {
            "slices": int((groups == group).sum()),
            "called_malignant": share((free.called == MALIGNANT)[groups == group]),
            "refused": share(~served.answered[groups == group]),
            "reported_malignant": share(((served.called == MALIGNANT) & served.reported)[groups == group]),
        }
        for group in sorted(set(groups))
    }


def judge_gate(judge: Judge, data: Path) -> dict[str, Any]:
    """Pictures that are no chest CT: what share is refused, and what share of the others is reported."""
    found = {}
    for folder in sorted(path for path in (data / "not_ct").glob("*") if path.is_dir()):
        files = [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]
        if not files:
            continue
        answers = ask(judge.folder, judge.engine, files, folder.name)
        found[folder.name] = {
            "files": len(files),
            "refused": share(~answers.answered),
            "reported": share(answers.reported),
        }
    return found


def judge_reports(known: list[Known], answers: Answers) -> dict[str, Any]:
    """What is reported of slices that training did not see, and how much of it is right, by source and together."""
    labels = np.array([one.label for one in known])
    unseen = np.array([one.label >= 0 and not one.seen and not sets_limits(one) for one in known])
    right = answers.called == forgive(answers.called, labels)
    groups, sources = np.array([one.group for one in known]), np.array([one.source for one in known])
    confidence = np.where(answers.answered, answers.probabilities.max(1), np.nan)

    def average(rows: Ints) -> dict[str, float]:
        known = confidence[rows][answers.answered[rows]]
        return {
            "reported": float(answers.reported[rows].mean()),
            "confidence": float(known.mean() if len(known) else np.nan),
        }

    def tell(rows: Flags) -> dict[str, Any]:
        reported = rows & answers.reported
        owners = sorted(set(groups[reported]))
        whole = sum(bool(right[reported & (groups == owner)].all()) for owner in owners)
        return {
            "slices": int(rows.sum()),
            "groups": len(set(groups[rows])),
            **{key: None if np.isnan(value) else value for key, value in average(np.flatnonzero(rows)).items()},
            "intervals": resample_cases(lambda drawn: average(np.flatnonzero(rows)[drawn]), groups[rows]),
            "right": share(right[reported]),
            "groups_reported": len(owners),
            "groups_without_error": whole,
            "interval_by_group": cover(whole, len(owners)) if owners else None,
            "called": {
                name: {
                    "reported": int((reported & (answers.called == index)).sum()),
                    "right": int((right & reported & (answers.called == index)).sum()),
                }
                for index, name in enumerate(CLASSES)
            },
        }

    by_source = {source: tell(unseen & (sources == source)) for source in sorted(set(sources[unseen]))}
    return {"all": tell(unseen), "by_source": by_source, "worst": list_worst(known, answers, unseen & ~right)}


def list_worst(known: list[Known], answers: Answers, wrong: Flags) -> list[dict[str, Any]]:
    """The most confident of the answers that are wrong (N,), reported ones first, at most WORST of each class."""
    confidence = np.where(wrong & answers.answered, answers.probabilities.max(1) + answers.reported, -1.0)
    found = []
    for label, name in enumerate(CLASSES):
        mine = [row for row in np.argsort(-confidence) if confidence[row] > 0 and known[row].label == label]
        found += [
            {
                "source": known[row].source,
                "file": known[row].path.name,
                "is": name,
                "called": CLASSES[answers.called[row]],
                "confidence": round(float(answers.probabilities[row].max()), 3),
                "decision": "report" if answers.reported[row] else "refer",
            }
            for row in mine[:WORST]
        ]
    return found
