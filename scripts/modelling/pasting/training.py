"""One resumable training on pasted images: evidence supervised by place, pooled by log-sum-exp."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import monotonic

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from lungct.model.network import LungResNet18, pool
from lungct.model.preprocess import normalize
from lungct_tools.modelling.dataset import NORMAL
from lungct_tools.modelling.pasting.generator import Generator
from lungct_tools.modelling.pasting.settings import Settings
from lungct_tools.modelling.pasting.start import Start

SAVED_EVERY_S = 300.0
LOGGED_EVERY = 25  # steps
CHECKPOINT, LOG = "checkpoint.pt", "log.jsonl"


@dataclass(frozen=True)
class Recipe:
    """What a trial may change.

    Attributes:
        views: (images, side in pixels) in turn; parts of slices first, because they cost half.
        batch: images.
        lr: peak rate of AdamW for layer4 and fc; layers 2 and 3 have half of it, what is before them is frozen.
        warmup: share of the steps; a cosine follows.
        weight_decay: AdamW's.
        average: decay of the weights' moving average, for each step.
        smoothing: of the labels.
        sharpness: r of the log-sum-exp pooling.
        own, away: weight of the loss on a nodule's cells, and on cells away from it.
        bf16: compute in bfloat16 where autocast does; half the time on processors with AVX-512 BF16.
        seed: of everything.
        images: what they are like; `view` is that of the stage.
    """

    views: tuple[tuple[int, int], ...] = ((16384, 128), (3840, 224))
    batch: int = 32
    lr: float = 4e-4
    warmup: float = 0.05
    weight_decay: float = 0.05
    average: float = 0.99
    smoothing: float = 0.05
    sharpness: float = 6.0
    own: float = 1.0
    away: float = 2.0
    bf16: bool = False
    seed: int = 0
    images: Settings = field(default_factory=Settings)

    @property
    def steps(self) -> int:
        return sum(images // self.batch for images, _ in self.views)


def read_recipe(text: str) -> Recipe:
    """A recipe from JSON that names what differs from the default; ValueError or TypeError for what it cannot read."""
    changes = json.loads(text)
    if "views" in changes:
        changes["views"] = tuple(tuple(part) for part in changes["views"])
    if "images" in changes:
        changes["images"] = Settings(**changes["images"])
    return Recipe(**changes)


class Images(Dataset[tuple[Tensor, int, Tensor]]):
    """Images first, first + 1, ... of a generator."""

    def __init__(self, generator: Generator, first: int, count: int) -> None:
        self.generator, self.first, self.count = generator, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> tuple[Tensor, int, Tensor]:
        sample = self.generator[self.first + number]
        return torch.from_numpy(sample.pixels.copy()), sample.label, torch.from_numpy(sample.shares)


def measure_loss(evidence: Tensor, labels: Tensor, shares: Tensor, recipe: Recipe) -> Tensor:
    """Of the pooled logits by class, and of the cells by place.

    A nodule's cells are those with at least half of its largest share; the cells next to it are left alone.

    Args:
        evidence: (N, C, h, w).
        labels: (N,).
        shares: (N, C, h, w) share of each cell that nodules of a class cover.
    """
    loss = F.cross_entropy(pool(evidence, recipe.sharpness), labels, label_smoothing=recipe.smoothing)
    peak = shares.amax((2, 3), keepdim=True)
    on = (shares >= 0.5 * peak) & (peak > 0)
    near = F.max_pool2d(shares.amax(1, keepdim=True), 3, 1, 1) > 0
    away = ~near.expand_as(evidence).clone()
    away[:, NORMAL] = False
    cells = F.binary_cross_entropy_with_logits(evidence, on.float(), reduction="none")
    for weight, some in ((recipe.own, on), (recipe.away, away)):
        loss = loss + weight * (cells * some).sum() / some.sum().clamp(min=1)
    return loss


class Trainer:
    """A training that can be stopped at any time; `run` goes on from its last checkpoint."""

    def __init__(self, start: Start, generator: Generator, recipe: Recipe, folder: Path, workers: int) -> None:
        """Read `folder`'s checkpoint if it has one.

        Raises:
            ValueError: the checkpoint is of another recipe or start.
        """
        cv2.setNumThreads(1)  # threads of OpenCV's do not outlive the fork of a worker, which would wait for them
        self.start, self.recipe, self.folder, self.workers = start.name, recipe, folder, workers
        self.generator, network = generator, start.network
        self.network = network.to(memory_format=torch.channels_last)
        self.network.requires_grad_(False)
        self.stem = torch.nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool, network.layer1)
        self.body = torch.nn.Sequential(network.layer2, network.layer3, network.layer4)
        known = [*network.layer2.parameters(), *network.layer3.parameters()]
        fresh = [*network.layer4.parameters(), *network.fc.parameters()]
        for parameter in (*known, *fresh):
            parameter.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(
            [{"params": known, "factor": 0.5}, {"params": fresh, "factor": 1.0}], weight_decay=recipe.weight_decay
        )
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.average), use_buffers=True)
        self.step, self.seconds = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).is_file():
            self._read()

    def _parts(self) -> dict[str, torch.nn.Module | torch.optim.Optimizer]:
        return {"network": self.network, "average": self.average, "optimizer": self.optimizer}

    def _read(self) -> None:
        saved = torch.load(self.folder / CHECKPOINT, map_location="cpu", weights_only=True)
        if saved["recipe"] != json.dumps(asdict(self.recipe)):
            raise ValueError(f"{self.folder / CHECKPOINT} is of another recipe: give it, or another folder.")
        if saved["start"] != self.start:
            raise ValueError(f"{self.folder / CHECKPOINT} began with --init {saved['start']}: give it again.")
        self.step, self.seconds = saved["step"], saved["seconds"]
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {"step": self.step, "seconds": self.seconds, "start": self.start}
        state |= {"recipe": json.dumps(asdict(self.recipe))}
        part = (self.folder / CHECKPOINT).with_suffix(".part")
        torch.save(state, part)
        part.replace(self.folder / CHECKPOINT)

    def run(self) -> LungResNet18:
        """Train to the end, with a checkpoint every five minutes; return the moving average of the weights."""
        began, before, saved = monotonic(), self.seconds, monotonic()
        losses: list[float] = []
        for pixels, labels, shares in self._batches():
            self.network.train()
            self.stem.eval()  # frozen, its statistics too
            losses.append(self._learn(pixels, labels, shares))
            self.step += 1
            self.seconds = before + monotonic() - began
            if self.step % LOGGED_EVERY == 0:
                mean = round(float(np.mean(losses)), 4)
                with (self.folder / LOG).open("a") as log:
                    log.write(json.dumps({"step": self.step, "seconds": round(self.seconds), "loss": mean}) + "\n")
                losses.clear()
            if monotonic() - saved > SAVED_EVERY_S:
                self.save()
                saved = monotonic()
        self.save()
        return self.average.module.eval()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The batches that are still to come: each image has its number, so a resumed run sees what it would have."""
        first = 0
        for images, view in self.recipe.views:
            batches = images // self.recipe.batch
            done = min(max(self.step - first, 0), batches)
            generator = Generator(
                self.generator.backgrounds,
                self.generator.nodules,
                replace(self.generator.settings, view=view),
                self.recipe.seed,
            )
            start, count = (first + done) * self.recipe.batch, (batches - done) * self.recipe.batch
            first += batches
            if count:
                yield from DataLoader(
                    Images(generator, start, count),
                    self.recipe.batch,
                    num_workers=self.workers,
                    worker_init_fn=_calm,
                    prefetch_factor=4 if self.workers else None,
                )

    def _rate(self) -> float:
        share = self.step / self.recipe.steps
        if share < self.recipe.warmup:
            return self.recipe.lr * (share + 1e-3) / self.recipe.warmup
        left = (share - self.recipe.warmup) / (1 - self.recipe.warmup)
        return self.recipe.lr * (0.01 + 0.99 * (1 + math.cos(math.pi * left)) / 2)

    def _learn(self, pixels: Tensor, labels: Tensor, shares: Tensor) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate() * group["factor"]
        last = self.network.fc
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bf16):
            with torch.no_grad():
                low = self.stem(normalize(pixels).contiguous(memory_format=torch.channels_last))
            evidence = F.conv2d(self.body(low), last.weight[:, :, None, None], last.bias)
        loss = measure_loss(evidence.float(), labels, shares, self.recipe)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.average.update_parameters(self.network)
        return float(loss.detach())


def _calm(worker: int) -> None:
    """Less urgent than the training, which then waits for images only when it has none."""
    os.nice(5)
