"""The figure of the model card: drawn slices on which the model fails, never a patient's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lungct.heatmap import activate, encode, overlay, spread
from lungct.model import place
from lungct.window import LUNG
from lungct_tools.modelling.dataset import NORMAL
from lungct_tools.modelling.judge import Judge
from lungct_tools.modelling.madeslices import find_nodule
from lungct_tools.phantom.anatomy import draw_slice

EACH = 3  # drawn slices of a kind
SIDE = 320  # pixels that each is shown at
WHITE = (255, 255, 255)
KINDS = {"none": "failed_without", "smooth": "failed", "spiculated": "failed"}


def draw_failures(path: Path, judge: Judge, phantoms: dict[str, Any]) -> None:
    """Write a sheet of the first EACH phantoms of each kind that failed, as `judge_phantoms` told: a row a kind."""
    rows = []
    for kind, key in KINDS.items():
        failed = (phantoms if kind == "none" else phantoms[kind])[key][:EACH]
        rows.append(np.hstack([_show(judge, seed, kind) for seed in failed] + [_blank()] * (EACH - len(failed))))
    path.write_bytes(encode(np.vstack(rows), "png"))


def _blank() -> npt.NDArray[np.uint8]:
    return np.full((SIDE, SIDE, 3), 255, np.uint8)


def _show(judge: Judge, seed: int, kind: str) -> npt.NDArray[np.uint8]:
    """One drawn slice under the map of its strongest abnormal class, a ring round its nodule."""
    hu = draw_slice(seed, kind)
    pixels = LUNG.render(hu)
    answers = judge.ask([pixels], f"{kind} {seed}")
    label = int(answers.maps[0, :NORMAL].max((1, 2)).argmax())
    evidence = answers.maps[0, label].astype(np.float32)
    heat = spread(activate(evidence).map, place(*pixels.shape, judge.folder.contract.geometry))
    shown = overlay(pixels, heat, "viridis", 0.35)
    if kind != "none":
        spots = np.argwhere(find_nodule(hu, draw_slice(seed)))
        (row, column), reach = spots.mean(0), np.ptp(spots, axis=0).max() / 2
        cv2.circle(shown, (round(column), round(row)), round(reach) + 8, WHITE, 2, cv2.LINE_AA)
    shown = cv2.resize(shown, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    named = f"{kind} {seed}: {judge.folder.contract.classes[label]}"
    cv2.putText(shown, named, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, WHITE, 1, cv2.LINE_AA)
    return shown
