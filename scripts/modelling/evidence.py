"""Do the heatmaps show what the network uses? Measured on slices it was not trained on.

Deletion and insertion (Petsiuk et al. 2018) against random maps, cascading randomisation (Adebayo et al. 2018),
repeatability under shift and JPEG, share of positive evidence outside the body, completeness.
"""

from __future__ import annotations

import copy
import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.progress import track

from lungct.gate.body import outline
from lungct.model.network import Evidence, LungResNet18
from lungct.model.preprocess import normalize, to_input
from lungct.window import LUNG
from lungct_tools.modelling.dataset import CLASSES, Cases
from lungct_tools.modelling.intervals import bound_scores

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7)  # of the pixels, deleted or inserted
SHIFTS = ((2, 0), (-2, 0), (0, 2), (0, -2))  # pixels of the slice: down, right
JPEG_QUALITY = 75
STAGES = ("fc", "layer4", "layer3", "layer2", "layer1")
SIZE = 224


@torch.inference_mode()
def explain(network: LungResNet18, inputs: Bytes) -> Evidence:
    """Logits, evidence maps and features of (N, 1, S, S) uint8."""
    parts = [network.explain(normalize(chunk)) for chunk in torch.from_numpy(inputs).split(16)]
    return Evidence(*(torch.cat(part) for part in zip(*parts, strict=True)))


def pick_maps(evidence: Evidence) -> Floats:
    """(N, 7, 7) evidence of the predicted class."""
    return evidence.maps[torch.arange(len(evidence.maps)), evidence.logits.argmax(1)].double().numpy()


def correlate(a: Floats, b: Floats) -> Floats:
    """(N,) Pearson correlation of maps (N, 7, 7)."""
    flat = [(m - m.mean((1, 2), keepdims=True)).reshape(len(m), -1) for m in (a, b)]
    return (flat[0] * flat[1]).sum(1) / np.maximum(
        1e-12, np.linalg.norm(flat[0], axis=1) * np.linalg.norm(flat[1], axis=1)
    )


def perturb(inputs: Bytes, others: Bytes, maps: Floats, share: float, insert: bool) -> Bytes:
    """Put the pixels of `others` where the `share` with most evidence is, or (insert) everywhere else.

    All (N, 1, S, S) uint8. Other slices, and no blur or gray: a network may read sharpness as a class, and then a blur
    that should take evidence away would add some.
    """
    changed = []
    for (pixels,), (other,), evidence in zip(inputs, others, maps, strict=True):
        heat = cv2.resize(evidence.astype(np.float32), pixels.shape[::-1], interpolation=cv2.INTER_LINEAR)
        top = heat >= np.quantile(heat, 1 - share)
        changed.append(np.where(top != insert, other, pixels)[None])
    return np.stack(changed)


def trace_perturbation(
    network: LungResNet18, temperature: float, inputs: Bytes, others: Bytes, maps: Floats, insert: bool
) -> Floats:
    """(N, len(SHARES)) probability, as it is served, of the class that was predicted for the whole slice."""
    predicted = explain(network, inputs).logits.argmax(1)
    rows = torch.arange(len(inputs))
    curves = [
        (explain(network, perturb(inputs, others, maps, share, insert)).logits / temperature).softmax(1)[
            rows, predicted
        ]
        for share in track(SHARES, "Insertion" if insert else "Deletion")
    ]
    return torch.stack(curves, 1).double().numpy()


def randomise(network: LungResNet18, stages: int, seed: int) -> LungResNet18:
    """A copy whose top `stages` of STAGES have fresh weights."""
    changed = copy.deepcopy(network)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in STAGES[:stages]:
            for module in getattr(changed, name).modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
    return changed.eval()


def disturb(pixels: Bytes) -> list[Bytes]:
    """Shifted copies of a slice (H, W), air moving in, and one that went through JPEG."""
    rows, columns = pixels.shape
    matrices = [np.array([[1, 0, right], [0, 1, down]], np.float32) for down, right in SHIFTS]
    moved = [cv2.warpAffine(pixels, m, (columns, rows), borderValue=LUNG.air) for m in matrices]
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=JPEG_QUALITY)
    return [*moved, np.asarray(Image.open(stream))]


def measure_evidence(
    network: LungResNet18, temperature: float, cases: Cases, rows: Ints, sample: int, seed: int = 0
) -> dict[str, Any]:
    """All of the above: outside share and completeness on `rows`, the costly rest on a random `sample` of them."""
    rng = np.random.default_rng(seed)
    everything, groups = cases.inputs(rows, SIZE), cases.groups[rows]
    whole = explain(network, everything)
    maps, predicted = pick_maps(whole), whole.logits.argmax(1).numpy()
    bodies = [outline(pixels) for pixels in everything]
    seen = [(b, m) for b, m in zip(bodies, maps, strict=True) if b is not None and m.max() > 0]
    outside = [b.outside(m) for b, m in seen]
    even = [b.outside(np.ones_like(m)) for b, m in seen]
    gap = (whole.maps.mean((2, 3)) + network.fc.bias - whole.logits).abs().max()

    chosen = np.sort(rng.choice(len(rows), min(sample, len(rows)), replace=False))
    inputs, kept = everything[chosen], maps[chosen]
    random = np.stack([rng.permuted(m.ravel()).reshape(m.shape) for m in kept])
    others = everything[[rng.choice(find_others(predicted, row)) for row in chosen]]
    curves = {
        f"{name}_{of}": trace_perturbation(network, temperature, inputs, others, m, name == "insertion")
        for name in ("deletion", "insertion")
        for of, m in (("map", kept), ("random", random))
    }
    better = {
        "deletion": curves["deletion_map"].mean(1) < curves["deletion_random"].mean(1),
        "insertion": curves["insertion_map"].mean(1) > curves["insertion_random"].mean(1),
    }
    cascade = {}
    for stages in range(1, len(STAGES) + 1):
        found = explain(randomise(network, stages, seed), inputs)
        same_class = found.maps[torch.arange(len(inputs)), whole.logits[chosen].argmax(1)].double().numpy()
        cascade[STAGES[stages - 1]] = float(np.abs(correlate(kept, same_class)).mean())
    repeats = []
    for i in track(chosen, "Repeatability"):
        again = explain(network, np.stack([to_input(p, SIZE, "pad", LUNG.air) for p in disturb(cases.slices[rows[i]])]))
        maps_again = again.maps[:, int(predicted[i])].double().numpy()
        repeats.append(correlate(np.repeat(maps[i][None], len(maps_again), 0), maps_again))
    repeated = np.array(repeats)
    return {
        "slices": len(rows),
        "sample": len(chosen),
        "shares": list(SHARES),
        "curves": {name: curve.mean(0).round(4).tolist() for name, curve in curves.items()},
        "better_than_random": {
            CLASSES[c]: compare_maps(better, predicted[chosen] == c, groups[chosen])
            for c in np.unique(predicted[chosen])
        },
        "randomised_correlation": cascade,
        "repeatability": {"shift": float(repeated[:, :-1].mean()), "jpeg": float(repeated[:, -1].mean())},
        "outside_body": {
            "mean": float(np.mean(outside)),
            "p95": float(np.quantile(outside, 0.95)),
            "even_map": float(np.mean(even)),
        },
        "no_positive_evidence": float((maps.max((1, 2)) <= 0).mean()),
        "completeness_error": float(gap),
    }


def find_others(predicted: Ints, row: int) -> Ints:
    """Rows of slices that are called otherwise than `row`; all other rows where there are none."""
    others = np.flatnonzero(predicted != predicted[row])
    return others if len(others) else np.flatnonzero(np.arange(len(predicted)) != row)


def compare_maps(better: dict[str, npt.NDArray[np.bool_]], rows: npt.NDArray[np.bool_], groups: Ints) -> dict[str, Any]:
    """In how many of the `rows` (N,) the map did better than the random one, with intervals by case."""
    flags = {name: each[rows].astype(float) for name, each in better.items()}
    found = bound_scores(
        lambda some: {name: float(each[some].mean()) for name, each in flags.items()},
        groups[rows],
        {name: np.ones(rows.sum(), bool) for name in flags},
    )
    return {"slices": int(rows.sum()), "cases": len(set(groups[rows])), **found}
