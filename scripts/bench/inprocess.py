"""What the same work costs without a server: our pipeline, the bare network, the page this project grew from."""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torchvision import transforms
from torchvision.models import resnet18

from lungct.engines import Engine
from lungct.model.folder import ModelFolder
from lungct.pipeline import Job, Pipeline
from lungct_tools.bench.estimate import Sample


def repeat(work: Callable[[int], int], seconds: float) -> Sample:
    """Call work(0), work(1), ... for some seconds; it returns how many images it did."""
    started, done, times = time.perf_counter(), 0, []
    while (before := time.perf_counter()) < started + seconds:
        done += work(len(times))
        times.append(1000 * (time.perf_counter() - before))
    p50, p95, p99 = (float(value) for value in np.percentile(times, (50, 95, 99)))
    return Sample(done / (time.perf_counter() - started), (p50, p95, p99))


def run_pipeline(pipeline: Pipeline, slices: Sequence[bytes], batch: int, threads: int, seconds: float) -> Sample:
    """The handler's own pipeline, decoding and JSON included; latencies are those of whole batches."""
    torch.set_num_threads(threads)

    def score(turn: int) -> int:
        jobs = [Job({"body": slices[(turn * batch + i) % len(slices)]}, {}) for i in range(batch)]
        return sum(reply.status == 200 for reply in pipeline.score(jobs).replies)

    return repeat(score, seconds)


def run_engine(engine: Engine, side: int, batch: int, seconds: float) -> Sample:
    """Our network alone, on ready inputs."""
    inputs = np.random.default_rng(0).integers(0, 256, (batch, 1, side, side), np.uint8)
    return repeat(lambda _: len(engine.predict(inputs).logits), seconds)


def make_plain_network(folder: ModelFolder) -> nn.Module:
    """torchvision's own ResNet18 with the weights of the model folder."""
    network = resnet18(num_classes=len(folder.contract.classes))
    network.load_state_dict(folder.network.state_dict())
    return network.eval()


def run_forward(network: nn.Module, batch: int, threads: int, seconds: float) -> Sample:
    """The network alone, eager fp32, on ready inputs."""
    torch.set_num_threads(threads)
    inputs = torch.rand(batch, 3, 224, 224)

    def forward(_: int) -> int:
        with torch.inference_mode():
            return len(network(inputs))

    return repeat(forward, seconds)


class OriginalPage:
    """How the page this project grew from scores: torchvision's transforms, eager fp32, the grad-cam package."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._transform = transforms.Compose(
            [
                transforms.Grayscale(3),
                transforms.Resize((224, 224)),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )
        hooked = copy.deepcopy(network)  # grad-cam's hooks stay, and would be timed with the network of all others
        self._cam = GradCAM(hooked, [hooked.layer4[-1]])

    def run(self, slices: Sequence[bytes], threads: int, seconds: float, heatmap: bool) -> Sample:
        """One slice after the other: classes, and the predicted class's map if asked."""
        torch.set_num_threads(threads)

        def score(turn: int) -> int:
            pixels = self._transform(Image.open(io.BytesIO(slices[turn % len(slices)])))[None]
            with torch.no_grad():
                found = torch.softmax(self._network(pixels), 1).argmax(1)
            if heatmap:
                self._cam(pixels, [ClassifierOutputTarget(int(found))])
            return 1

        return repeat(score, seconds)
