"""What the model answers on slices that were made or changed: pasted, smoothed, swapped around, drawn."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lungct.model import to_input
from lungct.window import LUNG
from lungct_tools.modelling.dataset import CLASSES, read_slice
from lungct_tools.modelling.intervals import resample_cases
from lungct_tools.modelling.judge import Judge, rank, share
from lungct_tools.modelling.pasting.backgrounds import is_kept_out, take_normal
from lungct_tools.modelling.pasting.generator import Generator, Sample, Settings
from lungct_tools.modelling.sources import Known
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
