"""Augmented views of the slices, seen through the frozen half of the network once and shared by all folds.

The stem, layer1 and layer2 keep their ImageNet weights, so what they say of a view is a constant. Computed once, it
saves more than half of the time of a cross-validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lungct.network import LungResNet18
from lungct.preprocess import normalize
from rich.progress import track
from torch import Tensor

from scripts.modelling.dataset import STORED_SIDE, Cases, augmentation

CHUNK = 32  # views a forward pass


def freeze_trunk(network: LungResNet18) -> None:
    """Keep stem, layer1 and layer2 as they are, BatchNorm statistics too."""
    for part in (network.conv1, network.bn1, network.layer1, network.layer2):
        part.requires_grad_(False).eval()


def run_trunk(network: LungResNet18, batch: Tensor) -> Tensor:
    """(N, 3, S, S) float in [-1, 1] -> (N, 128, S/8, S/8), the output of `layer2`."""
    return network.layer2(network.layer1(network.maxpool(network.relu(network.bn1(network.conv1(batch))))))


def run_head(network: LungResNet18, activations: Tensor) -> Tensor:
    """(N, 128, h, w) output of `layer2` -> (N, C) logits."""
    return network.fc(network.layer4(network.layer3(activations)).mean((2, 3)))


@dataclass(frozen=True)
class Views:
    """Frozen activations of augmented views, kept on disk; a view that is there is not computed again.

    Attributes:
        folder: ignored by version control; one `SIDE-NUMBER.npy` a view, (N, 128, side / 8, side / 8) float16.
        cases: the N slices.
        seed: the augmentation of a view is fixed by seed, side and number.
    """

    folder: Path
    cases: Cases
    seed: int

    @torch.inference_mode()
    def make(self, network: LungResNet18, side: int, count: int) -> None:
        """Compute the first `count` views at `side` that are not there yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [number for number in range(count) if not self._path(side, number).is_file()]
        if not missing:
            return
        network.eval()
        view = augmentation(side)
        stored = torch.from_numpy(self.cases.inputs(np.arange(len(self.cases.labels)), STORED_SIDE))
        for number in missing:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(hash((self.seed, side, number)) % 2**32)
                chunks = track(stored.split(CHUNK), f"View {number + 1}/{count} at {side}")
                found = [run_trunk(network, normalize(torch.stack([view(s) for s in c]))).half() for c in chunks]
            unfinished = self._path(side, number).with_suffix(".part.npy")
            np.save(unfinished, torch.cat(found).numpy())
            unfinished.replace(self._path(side, number))

    def draw(self, rows: Tensor, side: int, count: int, generator: torch.Generator) -> Tensor:
        """(len(rows), 128, side / 8, side / 8) float32: for each row one of the first `count` views at random."""
        files = [np.load(self._path(side, number), mmap_mode="r") for number in range(count)]
        numbers = torch.randint(count, (len(rows),), generator=generator)
        picked = [files[n][row] for n, row in zip(numbers.tolist(), rows.tolist(), strict=True)]
        return torch.from_numpy(np.stack(picked)).float()

    def _path(self, side: int, number: int) -> Path:
        return self.folder / f"{side}-{number}.npy"


def draw_balanced(
    labels: Tensor, rows: Tensor, batch: int, power: float, generator: torch.Generator
) -> Iterator[Tensor]:
    """One epoch of row batches; a class of n slices is drawn in proportion to n ** (1 - power): 1 draws all equally."""
    counts = torch.bincount(labels[rows]).double()
    weights = counts[labels[rows]] ** -power
    order = torch.multinomial(weights, len(rows) // batch * batch, replacement=True, generator=generator)
    yield from rows[order].split(batch)
