"""The numbers of the model card: what the shipped folder answers on real, pasted, changed and drawn slices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.stats import beta
from sklearn.metrics import roc_auc_score

from lungct.engines import Engine
from lungct.model import ModelFolder, to_input
from lungct.window import LUNG
from lungct_tools.modelling.asking import Answers, ask, encode
from lungct_tools.modelling.dataset import CLASSES, Cases, read_slice
from lungct_tools.modelling.intervals import resample_cases
from lungct_tools.modelling.pasting.backgrounds import is_kept_out, take_normal
from lungct_tools.modelling.pasting.generator import AS_READ, Generator, Sample, Settings
from lungct_tools.modelling.pasting.nodules import Nodules, read_nodules
from lungct_tools.modelling.sources import Box, Known, read_sources
from lungct_tools.modelling.surroundings import find_surroundings
from lungct_tools.phantom.anatomy import draw_slice

Flags = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
BENIGN, MALIGNANT, NORMAL = (CLASSES.index(name) for name in ("Benign", "Malignant", "Normal"))
SIZE = 224
PASTED = 900
PHANTOMS = 100
SIGMAS = (1, 2, 3)  # of a Gaussian, in pixels of a slice
JUDGED_SEED = 1000  # of pasted slices: training's is another


@dataclass(frozen=True)
class Judge:
    """A model folder with an engine and everything that it is asked about."""

    folder: ModelFolder
    engine: Engine
    cases: Cases
    known: list[Known]
    nodules: Nodules

    @classmethod
    def read(cls, folder: ModelFolder, engine: Engine, cases: Cases, data: Path, nodules: Path) -> Judge:
        """Read every source under `data` that is there."""
        return cls(folder, engine, cases, read_sources(data, cases), read_nodules(nodules))

    def ask(self, pictures: Iterable[Bytes], said: str) -> Answers:
        """Answers on (H, W) uint8 slices that were made or changed; the gate, which might refuse them, is off."""
        return ask(self.folder, self.engine, map(encode, pictures), said, gate="off")

    def ask_files(self, known: list[Known]) -> Answers:
        """Answers on files as they lie there."""
        return ask(self.folder, self.engine, (one.path.read_bytes() for one in known), known[0].source)


def share(flags: Flags) -> float | None:
    """Share of (N,) flags; None of nothing, which JSON knows."""
    return float(flags.mean()) if len(flags) else None


def rank(scores: Floats, positive: Flags) -> float | None:
    """AUC of scores (N,); None where one of the two is missing."""
    known = ~np.isnan(scores)
    if len(set(positive[known])) < 2:
        return None
    return float(roc_auc_score(positive[known], scores[known]))


def cover(right: int, count: int) -> list[float]:
    """The exact 95 % interval (Clopper & Pearson 1934) of `right` of `count`."""
    low = float(beta.ppf(0.025, right, count - right + 1)) if right else 0.0
    return [low, float(beta.ppf(0.975, right + 1, count - right)) if right < count else 1.0]


def touches(evidence: Floats, box: Box, side: int = 512) -> bool:
    """Whether the strongest cell of a map (h, w) touches a box in pixels of a square slice."""
    row, column = np.unravel_index(int(evidence.argmax()), evidence.shape)
    cell = side / evidence.shape[0]
    return bool(
        column * cell < box.x1 and (column + 1) * cell > box.x0 and row * cell < box.y1 and (row + 1) * cell > box.y0
    )


def judge_pasted(judge: Judge, settings: Settings, count: int = PASTED) -> dict[str, Any]:
    """Nodules of unseen patients in unseen backgrounds; a nodule's size is that at which it was pasted."""
    unseen = [one for one in take_normal(judge.cases) if is_kept_out(one.group)]
    nodules = judge.nodules.select(np.array([is_kept_out(patient) for patient in judge.nodules.patients]))
    generator = Generator(unseen, nodules, settings, JUDGED_SEED)
    samples: list[Sample] = [generator[number] for number in range(count)]
    answers = judge.ask((one.pixels[0] for one in samples), "pasted")
    labels = np.array([one.label for one in samples])
    sizes = np.array([one.diameter for one in samples])
    groups = np.array([nodules.patients[one.row] if one.row >= 0 else unseen[one.background].group for one in samples])
    called, present = answers.called, 1 - answers.probabilities[:, NORMAL]
    lesion = answers.logits[:, MALIGNANT] - answers.logits[:, BENIGN]
    nodule, normal = labels != NORMAL, labels == NORMAL

    def score(rows: npt.NDArray[np.int64]) -> dict[str, float]:
        def recall(some: Flags) -> float:
            some = some & np.isin(np.arange(len(labels)), rows)
            return float((called == labels)[some].mean()) if some.any() else float("nan")

        parts = {name: recall(labels == index) for index, name in enumerate(CLASSES)}
        return {"balanced_accuracy": float(np.nanmean(list(parts.values()))), **parts}

    return {
        "slices": count,
        "nodule_patients": len(set(nodules.patients)),
        "background_cases": len({one.group for one in unseen}),
        **score(np.arange(count)),
        "intervals": resample_cases(score, groups, draws=200),
        "benign_recall_7mm": share((called == BENIGN)[(labels == BENIGN) & (sizes >= 7)]),
        "benign_malignant_auc": rank(lesion[nodule], labels[nodule] == MALIGNANT),
        "diameter_alone_auc": rank(sizes[nodule], labels[nodule] == MALIGNANT),
        "present_auc": {
            str(least): rank(present[normal | (sizes >= least)], nodule[normal | (sizes >= least)])
            for least in (0, 7, 10, 15)
        },
        "strongest_cell_on_nodule": share(
            np.array(
                [
                    one.shares[one.label].flat[int(answers.maps[row, one.label].argmax())] > 0
                    for row, one in enumerate(samples)
                    if one.label != NORMAL
                ]
            )
        ),
    }


def judge_boxed(known: list[Known], answers: Answers) -> dict[str, Any]:
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
        "far_reported_malignant": share(((answers.called == MALIGNANT) & answers.reported)[far]),
        "tumour_called_malignant": share((answers.called == MALIGNANT)[labels == MALIGNANT]),
    }


def judge_series(known: list[Known], answers: Answers) -> dict[str, Any]:
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
        "free_reported_malignant": int(((answers.called == MALIGNANT) & answers.reported & ~holding).sum()),
    }


def judge_shortcuts(judge: Judge, normal: list[Known]) -> dict[str, Any]:
    """Unseen normal slices smoothed, and with the surroundings of another slice."""
    pictures = [read_slice(one.path) for one in normal]
    plain = judge.ask(pictures, "as they are").called
    smoothed = {}
    for sigma in SIGMAS:
        changed = judge.ask((cv2.GaussianBlur(one, (0, 0), sigma) for one in pictures), f"sigma {sigma}")
        smoothed[str(sigma)] = share(changed.called[changed.answered] == MALIGNANT)
    inputs = [to_input(one, SIZE, "pad", LUNG.air)[0] for one in pictures]
    others = np.random.default_rng(0).permutation(len(inputs))
    swapped = judge.ask((swap(inputs[row], inputs[o]) for row, o in enumerate(others)), "other surroundings")
    return {
        "slices": len(pictures),
        "called_malignant": share(plain == MALIGNANT),
        "smoothed": smoothed,
        "changed_by_surroundings": share((swapped.called != plain)[swapped.answered & (plain >= 0)]),
    }


def swap(pixels: Bytes, other: Bytes) -> Bytes:
    """A network input (S, S) with what is outside the body of another one; air where that one has its body."""
    around = np.where(find_surroundings(other[None]), other, np.uint8(LUNG.air))
    return np.where(find_surroundings(pixels[None]), around, pixels)


def judge_phantoms(judge: Judge, count: int = PHANTOMS) -> dict[str, Any]:
    """Drawn slices, of which the network was shown none."""
    plain = [draw_slice(seed) for seed in range(count)]
    empty = judge.ask((LUNG.render(one) for one in plain), "phantoms")
    found: dict[str, Any] = {"seeds": count, "without_called_normal": share(empty.called == NORMAL)}
    for kind in ("smooth", "spiculated"):
        drawn = [draw_slice(seed, kind) for seed in range(count)]
        answers = judge.ask((LUNG.render(one) for one in drawn), kind)
        on = []
        for row in range(count):
            where = (np.abs(drawn[row].astype(int) - plain[row]) > 100).astype(np.float32)
            cells = cv2.resize(where, (7, 7), interpolation=cv2.INTER_AREA)
            abnormal = answers.maps[row, [BENIGN, MALIGNANT]].max(0)
            on.append(cells.flat[int(abnormal.argmax())] > 0)
        found[kind] = {
            "called": {name: share(answers.called == index) for index, name in enumerate(CLASSES)},
            "strongest_cell_on_nodule": share(np.array(on)),
        }
    return found


def judge_reports(known: list[Known], answers: Answers) -> dict[str, Any]:
    """What is reported of slices that training did not see, and how much of it is right, by source and together.

    A slice labelled Benign is wrong only if it is called Malignant: that data set's Benign shows nothing by which its
    readers, or two networks, tell it from Normal.
    """
    labels = np.array([one.label for one in known])
    unseen = np.array([not one.seen and one.label >= 0 for one in known])
    right = np.where(labels == BENIGN, answers.called != MALIGNANT, answers.called == labels)
    groups, sources = np.array([one.group for one in known]), np.array([one.source for one in known])

    def tell(rows: Flags) -> dict[str, Any]:
        reported = rows & answers.reported
        owners = sorted(set(groups[reported]))
        whole = sum(bool(right[reported & (groups == owner)].all()) for owner in owners)
        return {
            "slices": int(rows.sum()),
            "groups": len(set(groups[rows])),
            "reported": share(answers.reported[rows]),
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
    return {"all": tell(unseen), "by_source": by_source}


def judge_all(judge: Judge) -> dict[str, Any]:
    """Every row of the card's table; rows whose data is not there are left out."""
    answers = judge.ask_files(judge.known)
    sources = np.array([one.source for one in judge.known])
    labels = np.array([one.label for one in judge.known])
    seen = np.array([one.seen for one in judge.known])
    found: dict[str, Any] = {
        "pasted": judge_pasted(judge, Settings(little=0)),
        "as_read": judge_pasted(judge, AS_READ),
        "shortcuts": judge_shortcuts(
            judge, [one for one in judge.known if one.source == "iq" and one.label == NORMAL and not one.seen]
        ),
        "phantoms": judge_phantoms(judge),
        "reports": judge_reports(judge.known, answers),
    }
    for name, rule in (("lungdx_a0001", judge_boxed), ("lidc_0001", judge_series)):
        rows = sources == name
        if rows.any():
            found[name] = rule([one for one in judge.known if one.source == name], answers.take(rows))
    mine = (sources == "iq") & ~seen
    pair = mine & (labels != BENIGN)
    found["labelled"] = {
        "slices": int(mine.sum()),
        "malignant_normal_auc": rank(answers.probabilities[pair, MALIGNANT], labels[pair] == MALIGNANT),
        "called": {
            name: {
                other: int((answers.called[mine & (labels == index)] == number).sum())
                for number, other in enumerate(CLASSES)
            }
            for index, name in enumerate(CLASSES)
        },
        "refused": int((~answers.answered[mine]).sum()),
    }
    found["free_of_nodules"] = {
        "trained_on": share((answers.called == MALIGNANT)[sources == "clear"]),
        "reported": share(((answers.called == MALIGNANT) & answers.reported)[sources == "clear"]),
    }
    return found
