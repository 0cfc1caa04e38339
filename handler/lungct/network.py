"""LungResNet18: torchvision's ResNet18 with three classes and its class evidence laid open."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.resnet import BasicBlock, ResNet


class Evidence(NamedTuple):
    """What one forward pass knows of a batch."""

    logits: Tensor  # (N, C)
    maps: Tensor  # (N, C, h, w): signed evidence; mean over h, w plus the class bias is the logit
    features: Tensor  # (N, 512): pooled features


class LungResNet18(ResNet):  # type: ignore[misc]  # torchvision ships no types
    """ResNet18 (He et al. 2016) with C outputs; parameter names are torchvision's, so its checkpoints load."""

    FEATURES = 512  # width of the pooled features

    def __init__(self, classes: int = 3) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes=classes)

    def activations(self, batch: Tensor) -> Tensor:
        """(N, 3, S, S) float in [-1, 1] -> (N, 512, S/32, S/32), the output of `layer4`."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(batch))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))  # type: ignore[no-any-return]

    def explain(self, batch: Tensor) -> Evidence:
        """Logits and the evidence maps of all classes from one forward pass, without gradients.

        After `layer4` come only a mean and a linear layer, so the Grad-CAM weights (Selvaraju et al. 2017,
        section 3.1) of class c are the linear weights w_c over h*w, and the map before its ReLU is sum_k w_ck A_k.
        """
        activations = self.activations(batch)
        features = activations.mean((2, 3))
        maps = F.conv2d(activations, self.fc.weight[:, :, None, None])
        return Evidence(self.fc(features), maps, features)


def fold_for_inference(model: LungResNet18) -> LungResNet18:
    """A copy that takes (N, 1, S, S) gray in [-1, 1]: BatchNorm and the three equal channels folded away.

    Three equal input channels through conv1 are one channel through the sum of its kernels. The zero padding of conv1
    stays exact because the normalisation is left outside the convolution.
    """
    folded = LungResNet18(model.fc.out_features)
    folded.load_state_dict(model.state_dict())
    folded.eval()
    blocks: list[Any] = [folded, *(block for layer in _layers(folded) for block in layer)]
    for block in blocks:
        for i in (1, 2):
            if hasattr(block, f"conv{i}"):
                fused = torch.nn.utils.fuse_conv_bn_eval(getattr(block, f"conv{i}"), getattr(block, f"bn{i}"))
                setattr(block, f"conv{i}", fused)
                setattr(block, f"bn{i}", torch.nn.Identity())
        if getattr(block, "downsample", None) is not None:
            block.downsample = torch.nn.Sequential(torch.nn.utils.fuse_conv_bn_eval(*block.downsample))
    folded.conv1.weight = torch.nn.Parameter(folded.conv1.weight.sum(1, keepdim=True), requires_grad=False)
    folded.conv1.in_channels = 1
    return folded


def _layers(model: LungResNet18) -> list[torch.nn.Sequential]:
    return [model.layer1, model.layer2, model.layer3, model.layer4]
