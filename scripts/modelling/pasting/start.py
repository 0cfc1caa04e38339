"""The weights that a training begins with."""

from __future__ import annotations

import torch
import torchvision

from lungct.model.network import LungResNet18
from lungct_tools.modelling.dataset import CLASSES

FROZEN = ("conv1.", "bn1.", "layer1.")  # these stay as they came, see Trainer


def build_network(init: str) -> LungResNet18:
    """A three-class network from torchvision's ImageNet weights, or from a plain state_dict file, whole or in part.

    Raises:
        ValueError, RuntimeError, UnpicklingError: the tensors are of another network, or the file is none.
    """
    if init == "imagenet":
        weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True)
    else:
        try:
            weights = torch.load(init, map_location="cpu", weights_only=True)
        except EOFError:
            raise ValueError(f"{init} is empty, or was cut off.") from None
        if not isinstance(weights, dict):
            raise ValueError(f"{init} is no state_dict of a resnet18: it holds a {type(weights).__name__}.")
    network = LungResNet18(len(CLASSES))
    found = network.load_state_dict({k: v for k, v in weights.items() if not k.startswith("fc.")}, strict=False)
    if found.unexpected_keys:
        raise ValueError(f"{init} is no state_dict of a resnet18: it has {found.unexpected_keys[0]}.")
    if frozen := [name for name in found.missing_keys if name.startswith(FROZEN)]:
        raise ValueError(f"{init} has no {frozen[0]}, which is not trained and would stay random.")
    return network
