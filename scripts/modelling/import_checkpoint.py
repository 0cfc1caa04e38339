"""Turn a torchvision resnet18 checkpoint with three classes into a model folder.

    lungct import lung_cancer_model_40.pth --out model_store/mine
    lungct archive --model model_store/mine

The file must be a plain state_dict; it is read with weights_only=True, so no code in it runs. Slices are resized as the
original page did it: squashed to a square.
"""

from __future__ import annotations

import pickle
import struct
import sys
from pathlib import Path

import torch

from lungct.model.contract import ModelContract
from lungct.model.folder import fill, save_model_folder
from lungct.model.network import LungResNet18
from lungct_tools.commandline import make_parser
from lungct_tools.phantom.files import golden_inputs

# Folders of the data set: ImageFolder names the classes of the original checkpoints after them.
CLASSES = {"Bengin cases": "Benign", "Malignant cases": "Malignant", "Normal cases": "Normal"}
# All that torch.load raised for thousands of damaged files.
_FAULTS = (
    pickle.UnpicklingError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, AssertionError, EOFError,
    struct.error,
)  # fmt: skip


class CheckpointError(Exception):
    """The file is no three-class resnet18 state_dict."""


def read_checkpoint(path: Path, classes: tuple[str, ...]) -> LungResNet18:
    """The network in a checkpoint; CheckpointError with what is wrong otherwise."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from error
    except _FAULTS as error:
        raise CheckpointError(
            f"{path} is no plain state_dict. Save it with torch.save(model.state_dict(), path); whole pickled models "
            "are refused because loading one runs its code."
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise CheckpointError(f"{path} holds no state_dict (a mapping of names to tensors).")
    if "fc.weight" in weights and weights["fc.weight"].shape != (len(classes), 512):
        raise CheckpointError(
            f"{path} has {weights['fc.weight'].shape[0]} outputs, and this server tells {len(classes)} classes apart."
        )
    network = LungResNet18(len(classes))
    try:
        fill(network, weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path} is no torchvision resnet18: {str(error)[:300]}") from error
    return network.eval()


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument(
        "--classes",
        default="Benign,Malignant,Normal",
        help="the classes in the order of the outputs (default %(default)s, ImageFolder's order); "
        "its names, such as 'Bengin cases', are taken too",
    )
    parser.add_argument("--version", default="imported", help="version written into model.json (default %(default)s)")
    args = parser.parse_args()
    classes = tuple(CLASSES.get(name.strip(), name.strip()) for name in args.classes.split(","))
    if sorted(classes) != sorted(CLASSES.values()):  # others would have no place between Normal and Malignant
        parser.error("--classes must be Benign, Malignant and Normal in some order, separated by commas")
    try:
        network = read_checkpoint(args.checkpoint, classes)
    except CheckpointError as error:
        print(f"import: {error}", file=sys.stderr)
        return 1
    contract = ModelContract(version=args.version, classes=classes, geometry="squash", licence="the checkpoint's own")
    save_model_folder(args.out, network, contract, golden_inputs(contract.size, contract.geometry))
    print(f"import: wrote {args.out}; no threshold or temperature is known for it, so every slice is referred.")
    return 0
