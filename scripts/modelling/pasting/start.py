"""What a training begins with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
import torchvision

from lungct.model.folder import load_model_folder
from lungct.model.network import LungResNet18
from lungct_tools.modelling.dataset import CLASSES

FROZEN = ("conv1.", "bn1.", "layer1.")  # these stay as they came, see Trainer


class Start(NamedTuple):
    """Attributes: network to train on; what it is called; how the model was made that it goes on from."""

    network: LungResNet18
    name: str
    earlier: dict[str, Any] | None = None


def read_start(init: str) -> Start:
    """A three-class network to train on.

    Args:
        init: "imagenet", torchvision's weights; a plain state_dict file of an ImageNet network, whole or in part; or a
            model folder, which keeps its last layer, too.

    Raises:
        ModelFolderError: the model folder is none, or not whole.
        ValueError, RuntimeError, UnpicklingError: the tensors are of another network, or the file is none.
    """
    if Path(init).is_dir():
        folder = load_model_folder(Path(init))
        contract = folder.contract
        if contract.classes != CLASSES:
            raise ValueError(f"{init} has the classes {', '.join(contract.classes)}, not {', '.join(CLASSES)}.")
        name = f"{contract.name} {contract.version} ({contract.weights_sha256[:12]})"
        return Start(folder.network, name, dict(contract.training))
    return Start(_build(init), Path(init).name)


def _build(init: str) -> LungResNet18:
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
