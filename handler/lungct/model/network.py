"""LungResNet18: torchvision's ResNet18 with three classes and its class evidence laid open."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.resnet import BasicBlock, ResNet

from lungct.model.pooling import BY_MEAN, Pooling
from lungct.model.weights import Floats, fold_batchnorm


class Evidence(NamedTuple):
    """What one forward pass knows of a batch."""

    logits: Tensor  # (N, C)
    maps: Tensor  # (N, C, h, w): signed evidence; pooled over h, w, plus the class bias, it is the logit
    features: Tensor  # (N, 512): pooled features


class LungResNet18(ResNet):  # type: ignore[misc]  # torchvision ships no types
    """ResNet18 (He et al. 2016) with C outputs; parameter names are torchvision's, so its checkpoints load.

    Pooled by the mean, which is the default, its logits are torchvision's.
    """

    def __init__(self, classes: int = 3, pooling: Pooling = BY_MEAN) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes=classes)
        self.pooling = pooling

    def forward(self, batch: Tensor) -> Tensor:
        """(N, 3, S, S) float in [-1, 1] -> (N, C) logits."""
        return self.explain(batch).logits

    def activations(self, batch: Tensor) -> Tensor:
        """(N, 3, S, S) float in [-1, 1] -> (N, 512, S/32, S/32), the output of `layer4`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(batch))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))  # type: ignore[no-any-return]

    def explain(self, batch: Tensor) -> Evidence:
        """Logits and the evidence maps of all classes from one forward pass, without gradients.

        After `layer4` come only a linear layer and a pooling whose gradient over the cells sums to 1, so the Grad-CAM
        weights (Selvaraju et al. 2017, section 3.1) of class c are the linear weights w_c over h*w, and the map before
        its ReLU is sum_k w_ck A_k.
        """
        activations = self.activations(batch).float()  # summed in fp32, or in halves the maps would miss the logit
        features = activations.mean((2, 3))
        maps = F.conv2d(activations, self.fc.weight[:, :, None, None])
        if self.pooling.kind == "mean":
            return Evidence(self.fc(features), maps, features)
        return Evidence(pool(maps, self.pooling.r) + self.fc.bias, maps, features)


def pool(maps: Tensor, r: float) -> Tensor:
    """(N, C, h, w) evidence -> (N, C), its log-sum-exp of sharpness r; see `pooling.Pooling`."""
    cells = maps.flatten(2) * r
    return (cells.logsumexp(2) - math.log(cells.shape[2])) / r


def fold_for_inference(weights: Mapping[str, Floats], pooling: Pooling = BY_MEAN) -> LungResNet18:
    """The network of `weights` for (N, 1, S, S) gray in [-1, 1]: BatchNorm and the three equal channels folded away."""
    folded = LungResNet18(len(weights["fc.bias"]), pooling)
    folded.conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3)
    blocks: list[Any] = [module for module in folded.modules() if isinstance(module, BasicBlock)]
    for block in [folded, *blocks]:
        block.bn1 = torch.nn.Identity()
    for block in blocks:
        block.bn2 = torch.nn.Identity()
        if block.downsample is not None:
            block.downsample[1] = torch.nn.Identity()
    for module in folded.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.bias = torch.nn.Parameter(torch.empty(module.out_channels))
    folded.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in fold_batchnorm(weights).items()})
    folded.eval().requires_grad_(False)
    return folded
