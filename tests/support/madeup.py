"""A made-up data set and a model trained on it: real code on small numbers, in seconds."""

import csv
from pathlib import Path

import torch
from PIL import Image

from lungct.model.network import LungResNet18
from lungct.window import LUNG
from lungct_tools.modelling.dataset import CLASSES
from lungct_tools.phantom.anatomy import draw_slice

CASES, SLICES, SIDE = 5, 2, 128  # cases a class, slices a case, pixels a side
RECIPE = '{"schedule": [[1, 64]], "batch": 6}'
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


def make_start(path: Path) -> Path:
    """Start weights: a network that knows nothing."""
    torch.manual_seed(0)
    torch.save(LungResNet18(3).state_dict(), path)
    return path
