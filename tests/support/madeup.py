"""A made-up data set and a model trained on it: real code on small numbers, in seconds."""

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from lungct.model.network import LungResNet18
from lungct.window import LUNG
from lungct_tools.modelling.dataset import CLASSES
from lungct_tools.phantom.anatomy import draw_slice

CASES, SLICES, SIDE = 5, 2, 128  # cases a class, slices a case, pixels a side
RECIPE = '{"views": [[8, 64]], "batch": 4}'
PATIENTS, CROP = 24, 41  # of made-up nodules; pixels a side of their crops
NODULE = {"Benign": "smooth", "Malignant": "spiculated", "Normal": "none"}


def make_data(folder: Path) -> Path:
    """Phantoms with a cases.csv; the slices of a case are the same phantom, once mirrored."""
    rows = []
    for number, name in enumerate(CLASSES):
        (folder / name.lower()).mkdir(parents=True)
        for case in range(CASES):
            drawn = LUNG.render(draw_slice(10 * number + case, NODULE[name], SIDE))
            for view, pixels in enumerate((drawn, drawn[:, ::-1])):
                file = f"{name.lower()}/{name} case ({case * SLICES + view + 1}).png"
                Image.fromarray(pixels).save(folder / file)
                rows.append((file, name.lower(), number * CASES + case))
    with (folder / "cases.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("file", "label", "pseudo_case"), *rows])
    return folder


def make_nodules(folder: Path) -> Path:
    """Round nodules in lung, one a patient: small smooth ones benign, large lobed ones malignant."""
    y, x = np.mgrid[:CROP, :CROP] - CROP // 2
    angle, reach = np.arctan2(y, x), np.hypot(y, x)
    masks, rows = [], []
    for patient in range(PATIENTS):
        malignant = patient % 2
        radius = 5 + patient % 5 + 6 * malignant
        masks.append(reach <= radius * (1 + 0.15 * malignant * np.cos(5 * angle)))
        rows.append((patient, f"P{patient}", ("benign", "malignant")[malignant], 1.4 * radius, 0.7))
    folder.mkdir(parents=True)
    masks = np.array(masks)
    np.savez(folder / "nodules.npz", hu=np.where(masks, 40, -860).astype(np.int16), mask=masks.astype(np.uint8))
    with (folder / "nodules.csv").open("w", newline="") as stream:
        head = ("row", "patient", "label", "diameter_mm", "pixel_mm")
        csv.writer(stream).writerows([head, *rows])
    return folder


def make_start(path: Path) -> Path:
    """Start weights: a network that knows nothing."""
    torch.manual_seed(0)
    torch.save(LungResNet18(3).state_dict(), path)
    return path
