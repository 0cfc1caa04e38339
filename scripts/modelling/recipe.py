"""How a network is trained: start weights, schedule, optimiser, and one resumable run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import numpy.typing as npt
import torch
import torchvision
from rich.progress import track
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.transforms import v2

from lungct.model.network import LungResNet18
from lungct.model.preprocess import normalize
from lungct_tools.modelling.dataset import CLASSES, Cases, augmentation, draw_balanced

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """What a trial may change.

    Attributes:
        schedule: (epochs, side): so many epochs at a side in pixels; small first, because they cost less.
        source: side in pixels that a view is cut from, resized once; at 512, as published, a view is as sharp as what
            is served.
        lr: peak learning rate of AdamW under a one-cycle schedule, for layer4 and fc, which begin partly at random.
        slower: factor on it for the layers before them, which begin with ImageNet weights.
        balance: 0 draws slices as they come, 1 every class equally often.
        mixup: parameter of mixup's Beta distribution (Zhang et al. 2018); 0 is off.
        cutmix: of CutMix's (Yun et al. 2019); with both, every batch gets one of them.
        smoothing: of the labels.
        decay: of the weights' moving average.
        jitter: share by which brightness and contrast may change.
        noise: standard deviation of the noise that is added, in shares of 255.
        blur: strongest smoothing, in pixels of a slice of 512; half of the views get some, and a quarter is sharpened.
        by_case: draw the cases of a class equally often, instead of its slices.
        lungs: cut every slice to the box of its lungs, in training and in scoring.
        draws: added to the seed of views and batches, not to that of the folds.
        bf16: compute in bf16 with fp32 weights (torch.autocast): half the time where the processor has it.
        start: trial whose networks these begin with, fold by fold; several, joined by +: the mean of their weights
            (Wortsman et al. 2022); none: the start weights.
    """

    schedule: tuple[tuple[int, int], ...] = ((6, 160), (4, 224))
    source: int = 512
    lr: float = 4e-4
    slower: float = 1.0
    balance: float = 1.0
    mixup: float = 0.0
    cutmix: float = 0.0
    smoothing: float = 0.05
    decay: float = 0.98
    batch: int = 16
    jitter: float = 0.2
    noise: float = 0.0
    blur: float = 0.0
    by_case: bool = False
    lungs: bool = False
    draws: int = 0
    bf16: bool = False
    start: str = ""

    @property
    def sides(self) -> list[int]:
        """Side of the slices in each epoch, in pixels."""
        return [side for count, side in self.schedule for _ in range(count)]


def read_recipe(text: str) -> Recipe:
    """A recipe from JSON that names what differs from the default; ValueError or TypeError for what it cannot read."""
    changes = json.loads(text)
    if "schedule" in changes:
        changes["schedule"] = tuple(tuple(stage) for stage in changes["schedule"])
    return Recipe(**changes)


def list_changes(recipe: Recipe) -> str:
    """JSON of what differs from the default: what `read_recipe` reads."""
    return json.dumps({key: value for key, value in asdict(recipe).items() if value != asdict(Recipe())[key]})


def build_network(init: str) -> LungResNet18:
    """A three-class network from torchvision's ImageNet weights, or from a plain state_dict file."""
    if init == "imagenet":
        weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True)
    else:
        weights = torch.load(init, map_location="cpu", weights_only=True)
    network = LungResNet18(len(CLASSES))
    network.load_state_dict({k: v for k, v in weights.items() if not k.startswith("fc.")}, strict=False)
    return network


def build_mixing(recipe: Recipe) -> v2.Transform:
    """Mixes the slices of a batch and their labels as the recipe says; without, it hands both on as they are."""
    kinds = ((v2.MixUp, recipe.mixup), (v2.CutMix, recipe.cutmix))
    chosen = [kind(alpha=alpha, num_classes=len(CLASSES)) for kind, alpha in kinds if alpha]
    return v2.RandomChoice(chosen) if chosen else v2.Identity()


def fit(network: LungResNet18, cases: Cases, rows: Ints, recipe: Recipe, seed: int, checkpoint: Path) -> LungResNet18:
    """Train on `rows`, going on from `checkpoint` if it is there; return the moving average of the weights.

    The checkpoint is left where it is; its "seconds" count all the runs that it took.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stored = torch.from_numpy(cases.inputs(np.arange(len(cases.labels)), recipe.source))
    labels, drawn = torch.from_numpy(cases.labels), torch.from_numpy(rows)
    groups = torch.from_numpy(cases.groups) if recipe.by_case else None
    # Channels last: the convolutions of a CPU without AVX-512 train a quarter faster.
    network = network.to(device, memory_format=torch.channels_last)
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.decay), use_buffers=True)
    fresh = [*network.layer4.parameters(), *network.fc.parameters()]
    known = [p for n, p in network.named_parameters() if not n.startswith(("layer4.", "fc."))]
    optimizer = torch.optim.AdamW([{"params": known}, {"params": fresh}], lr=recipe.lr, weight_decay=0.05)
    steps = len(recipe.sides) * (len(rows) // recipe.batch)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, [recipe.lr * recipe.slower, recipe.lr], steps, pct_start=0.2)
    parts = {"network": network, "average": average, "optimizer": optimizer, "rate": rate}
    name, done, before, started = f"{checkpoint.parent.name} {checkpoint.stem}", 0, 0.0, monotonic()
    if checkpoint.is_file():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        done, before = saved["epochs"], saved["seconds"]
        for key, part in parts.items():
            part.load_state_dict(saved[key])
    network.train()
    mix = build_mixing(recipe)
    for epoch, side in list(enumerate(recipe.sides))[done:]:
        # Of the global generator: torchvision's transforms draw from it.
        torch.manual_seed(hash((seed + recipe.draws, epoch)) % 2**32)
        view = augmentation(side, recipe.jitter, recipe.noise, recipe.blur * recipe.source / 512)
        batches = draw_balanced(labels, drawn, recipe.batch, recipe.balance, groups)
        losses = []
        for picked in track(batches, f"{name} epoch {epoch + 1}/{len(recipe.sides)}", len(rows) // recipe.batch):
            inputs = normalize(torch.stack([view(stored[row]) for row in picked]))
            inputs, truth = mix(inputs, labels[picked])
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.bf16):
                answers = network(inputs.to(device, memory_format=torch.channels_last))
            loss = cross_entropy(answers.float(), truth.to(device), label_smoothing=recipe.smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            average.update_parameters(network)
            losses.append(loss.item())
        print(f"{name} epoch {epoch + 1}/{len(recipe.sides)} side {side} loss {np.mean(losses):.3f}", flush=True)
        state = {key: part.state_dict() for key, part in parts.items()}
        state |= {"epochs": epoch + 1, "seconds": before + monotonic() - started}
        torch.save(state, checkpoint.with_suffix(".part"))
        checkpoint.with_suffix(".part").replace(checkpoint)
    return average.module.eval().cpu().to(memory_format=torch.contiguous_format)


@torch.inference_mode()
def predict(network: LungResNet18, cases: Cases, rows: Ints, size: int) -> tuple[npt.NDArray[np.float32], ...]:
    """(len(rows), C) logits and (len(rows), 512) features of slices prepared as the server prepares them."""
    network.eval()
    logits, features = [], []
    for some in track(np.array_split(rows, max(1, len(rows) // 16)), "Scoring"):
        found = network.explain(normalize(torch.from_numpy(cases.inputs(some, size))))
        logits.append(found.logits)
        features.append(found.features)
    return torch.cat(logits).numpy(), torch.cat(features).numpy()
