"""What the model answers on slices that were made or changed: pasted, smoothed, swapped around, drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lungct.model import to_input
from lungct.window import LUNG
from lungct_tools.modelling.asking import Answers
from lungct_tools.modelling.dataset import BENIGN, CLASSES, MALIGNANT, NORMAL, read_slice
from lungct_tools.modelling.intervals import resample_cases, tell_share
from lungct_tools.modelling.judge import Judge, rank, share
from lungct_tools.modelling.pasting.backgrounds import is_kept_out, take_normal
from lungct_tools.modelling.pasting.generator import Generator, Sample
from lungct_tools.modelling.pasting.settings import Settings
from lungct_tools.modelling.sources import Known
from lungct_tools.modelling.surroundings import find_surroundings
from lungct_tools.phantom.anatomy import draw_slice

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
SIGMAS = (1, 2, 3)  # of a Gaussian, in pixels of a slice
JUDGED_SEED = 1000  # of pasted slices: training's is another
DRAWS = 200  # of the intervals of pasted slices, which are many scores
LEAST_MM = (0, 7, 10, 15)  # diameters from which a nodule counts as one that is to be found


def judge_pasted(judge: Judge, settings: Settings, count: int) -> dict[str, Any]:
    """Nodules of unseen patients in unseen backgrounds; a nodule's size is that at which it was pasted."""
    unseen = [one for one in take_normal(judge.cases) if is_kept_out(one.group)]
    nodules = judge.nodules.select(np.array([is_kept_out(patient) for patient in judge.nodules.patients]))
    size = judge.folder.contract.size
    generator = Generator(unseen, nodules, replace(settings, size=size, view=size), JUDGED_SEED)
    samples: list[Sample] = [generator[number] for number in range(count)]
    answers = judge.ask((one.pixels[0] for one in samples), "pasted")
    groups = np.array([nodules.patients[one.row] if one.row >= 0 else unseen[one.background].group for one in samples])
    labels = np.array([one.label for one in samples])
    sizes = np.array([one.diameter for one in samples])

    def score(rows: Ints) -> dict[str, float]:
        return score_pasted(answers, labels, sizes, rows)

    held = [row for row, one in enumerate(samples) if one.label != NORMAL]
    return {
        "slices": count,
        "nodule_patients": len(set(nodules.patients)),
        "background_cases": len({one.group for one in unseen}),
        "scores": {key: None if np.isnan(value) else value for key, value in score(np.arange(count)).items()},
        "intervals": resample_cases(score, groups, draws=DRAWS),
        "strongest_cell_on_nodule": tell_share(
            np.array([points_at(answers.maps[row, labels[row]], samples[row].shares[labels[row]]) for row in held]),
            groups[held],
        ),
    }


def score_pasted(answers: Answers, labels: Ints, sizes: npt.NDArray[np.float64], rows: Ints) -> dict[str, float]:
    """Recalls and AUCs of some rows, drawn perhaps more than once; NaN where a class is missing."""
    called, labels, sizes = answers.called[rows], labels[rows], sizes[rows]
    logits, present = answers.logits[rows], 1 - answers.probabilities[rows, NORMAL]

    def recall(label: int, least: float = 0.0) -> float:
        some = (labels == label) & (sizes >= least)
        return float((called == label)[some].mean()) if some.any() else float("nan")

    def tell_apart(scores: npt.NDArray[np.float64], positive: int, least: float = 0.0) -> float:
        some = labels != NORMAL if positive == MALIGNANT else (labels == NORMAL) | (sizes >= least)
        auc = rank(scores[some], labels[some] == MALIGNANT if positive == MALIGNANT else labels[some] != NORMAL)
        return float("nan") if auc is None else auc

    recalls = {f"recall_{name.lower()}": recall(index) for index, name in enumerate(CLASSES)}
    return {
        "balanced_accuracy": float(np.mean(list(recalls.values()))),
        **recalls,
        "recall_benign_7mm": recall(BENIGN, 7),
        "benign_malignant_auc": tell_apart(logits[:, MALIGNANT] - logits[:, BENIGN], MALIGNANT),
        "diameter_alone_auc": tell_apart(sizes, MALIGNANT),
        **{f"present_auc_{least}mm": tell_apart(present, BENIGN, least) for least in LEAST_MM},
    }


def points_at(evidence: npt.NDArray[np.float64], covered: npt.NDArray[np.float32]) -> bool:
    """Whether the strongest cell of a map (h, w) lies where `covered` (h, w) is not 0."""
    return bool(covered.flat[int(evidence.argmax())] > 0)


def judge_shortcuts(judge: Judge, normal: list[Known]) -> dict[str, Any]:
    """Unseen normal slices smoothed, and with the surroundings of another slice."""
    pictures = [read_slice(one.path) for one in normal]
    groups = np.array([one.group for one in normal])
    plain = judge.ask(pictures, "as they are").called
    smoothed = {}
    for sigma in SIGMAS:
        changed = judge.ask((cv2.GaussianBlur(one, (0, 0), sigma) for one in pictures), f"sigma {sigma}")
        smoothed[str(sigma)] = tell_share(changed.called == MALIGNANT, groups)
    size = judge.folder.contract.size
    inputs = [to_input(one, size, "pad", LUNG.air)[0] for one in pictures]
    others = np.random.default_rng(0).permutation(len(inputs))
    swapped = judge.ask((swap(inputs[row], inputs[o]) for row, o in enumerate(others)), "other surroundings")
    return {
        "called_malignant": tell_share(plain == MALIGNANT, groups),
        "smoothed": smoothed,
        "changed_by_surroundings": tell_share(swapped.called != plain, groups),
    }


def swap(pixels: Bytes, other: Bytes) -> Bytes:
    """A network input (S, S) with what is outside the body of another one; air where that one has its body."""
    around = np.where(find_surroundings(other[None]), other, np.uint8(LUNG.air))
    return np.where(find_surroundings(pixels[None]), around, pixels)


def judge_phantoms(judge: Judge, count: int) -> dict[str, Any]:
    """Drawn slices, of which the network was shown none; the seeds that it failed on are told."""
    plain = [draw_slice(seed) for seed in range(count)]
    empty = judge.ask((LUNG.render(one) for one in plain), "phantoms")
    found: dict[str, Any] = {
        "seeds": count,
        "without_called_normal": share(empty.called == NORMAL),
        "failed_without": np.flatnonzero(empty.called != NORMAL).tolist(),
    }
    for kind in ("smooth", "spiculated"):
        drawn = [draw_slice(seed, kind) for seed in range(count)]
        answers = judge.ask((LUNG.render(one) for one in drawn), kind)
        on = np.array(
            [
                points_at(answers.maps[row, :NORMAL].max(0), locate(drawn[row], plain[row], answers.maps.shape[-1]))
                for row in range(count)
            ]
        )
        found[kind] = {
            "called": {name: share(answers.called == index) for index, name in enumerate(CLASSES)},
            "strongest_cell_on_nodule": share(on),
            "failed": np.flatnonzero(~on).tolist(),
        }
    return found


def locate(drawn: npt.NDArray[np.int16], plain: npt.NDArray[np.int16], cells: int) -> npt.NDArray[np.float32]:
    """(cells, cells) share of each cell that the nodule of a phantom covers."""
    where = find_nodule(drawn, plain).astype(np.float32)
    return np.asarray(cv2.resize(where, (cells, cells), interpolation=cv2.INTER_AREA), np.float32)


def find_nodule(drawn: npt.NDArray[np.int16], plain: npt.NDArray[np.int16]) -> npt.NDArray[np.bool_]:
    """(H, W) the nodule of a phantom in HU: where it differs from the same one without."""
    return np.abs(drawn.astype(int) - plain) > 100
