"""The model folder: weights, golden answers and model.json, the contract between training and serving."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lungct.agreement import Agreement
from lungct.errors import ModelFolderError
from lungct.gate import Gate
from lungct.preprocess import Geometry, normalize
from lungct.weights import FEATURES, check_shapes, read_weights
from lungct.window import LUNG, Window

if TYPE_CHECKING:  # torch is only imported where its network is asked for
    from torch import Tensor

    from lungct.network import LungResNet18

WEIGHTS, GOLDEN, CONTRACT = "weights.safetensors", "golden.safetensors", "model.json"
GATE = "gate.safetensors"
QUANTISED, QUANTISED_WEIGHTS = "int8.xml", "int8.bin"  # the two files of an OpenVINO graph


@dataclass(frozen=True)
class ModelContract:
    """What model.json says.

    `classes` is in logit order; `files` maps each file beside it to its sha256; `gate` holds the two distances of
    lungct.gate.Gate, and is empty where the model has no gate; `agreement` is that of the int8 graph with fp32.
    `refer_below` holds for each class the confidence under which a slice called so is referred, over 1 where it always
    is; it is empty where no such limit is known.
    """

    version: str
    classes: tuple[str, ...] = ("Benign", "Malignant", "Normal")
    name: str = "lung_ct"
    architecture: str = "resnet18"
    size: int = 224
    geometry: Geometry = "pad"
    mean: float = 0.5
    std: float = 0.5
    window: Window = LUNG
    temperature: float = 1.0
    refer_below: Mapping[str, float] = field(default_factory=dict)
    gate: Mapping[str, float] = field(default_factory=dict)
    agreement: Agreement = Agreement()
    files: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    licence: str = ""
    research_use_only: bool = True

    @property
    def weights_sha256(self) -> str:
        return self.files[WEIGHTS]

    @classmethod
    def read(cls, folder: Path) -> ModelContract:
        """Parse `folder`/model.json; ModelFolderError if it is missing, no JSON, or has unknown or missing keys."""
        try:
            raw = json.loads((folder / CONTRACT).read_text())
            parts: dict[str, Any] = {
                "window": Window(**raw["window"]),
                "agreement": Agreement(**raw.get("agreement", {})),
            }
            limits = raw.get("refer_below", {})
            if not isinstance(limits, dict):  # one for all classes, as folders had it up to version 1.1
                limits = dict.fromkeys(raw["classes"], limits)
            parts["refer_below"] = {name: float(limit) for name, limit in limits.items()}
            contract = cls(**{**raw, **parts, "classes": tuple(raw["classes"])})
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise ModelFolderError(f"{folder / CONTRACT} is no model contract: {exc}") from exc
        if (contract.mean, contract.std, contract.architecture) != (0.5, 0.5, "resnet18"):
            raise ModelFolderError(f"{folder / CONTRACT} asks for a normalisation or network that this server lacks.")
        if not contract.temperature > 0:
            raise ModelFolderError(f"{folder / CONTRACT} has a temperature that is not above 0.")
        if set(contract.refer_below) not in (set(), set(contract.classes)):
            raise ModelFolderError(f"{folder / CONTRACT} has thresholds of other classes than {contract.classes}.")
        if set(contract.gate) not in (set(), {"refer_above", "refuse_above"}):
            raise ModelFolderError(f"{folder / CONTRACT} has a gate without its two distances.")
        return contract

    def document(self) -> dict[str, Any]:
        """The contract as JSON knows it."""
        return {**asdict(self), "window": self.window._asdict(), "agreement": self.agreement._asdict()}

    def write(self, folder: Path) -> None:
        """Write model.json into `folder`; ValueError for a number that JSON does not know: no server could tell it."""
        (folder / CONTRACT).write_text(json.dumps(self.document(), indent=2, allow_nan=False) + "\n")


@dataclass(frozen=True)
class Golden:
    """Inputs with known answers, to prove that an engine computes what the training computed."""

    inputs: npt.NDArray[np.uint8]  # (K, 1, S, S)
    logits: npt.NDArray[np.float32]  # (K, C)


@dataclass(frozen=True)
class ModelFolder:
    """A verified model folder: every hash and shape agreed when this was made.

    Attributes:
        bias: (C,) of the last layer.
    """

    path: Path
    contract: ModelContract
    bias: npt.NDArray[np.float32]
    golden: Golden
    gate: Gate | None

    def read_weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """The tensors as float32, read when asked for: an engine keeps its own form of them."""
        return read_weights(self.path / WEIGHTS)

    @cached_property
    def network(self) -> LungResNet18:
        """The plain torch network, made on first use."""
        import torch

        from lungct.network import LungResNet18

        network = LungResNet18(len(self.contract.classes))
        fill(network, {name: torch.from_numpy(tensor) for name, tensor in self.read_weights().items()})
        network.eval().requires_grad_(False)
        return network


def load_model_folder(folder: Path) -> ModelFolder:
    """Read and verify a model folder.

    Raises:
        ModelFolderError: a file is missing, its sha256 is not the one in model.json, or its tensors do not fit.
    """
    contract = ModelContract.read(folder)
    for required in (WEIGHTS, GOLDEN, *([GATE] if contract.gate else [])):
        if required not in contract.files:
            raise ModelFolderError(f"model.json of {folder} gives no sha256 for {required}.")
    for name, expected in contract.files.items():
        if not (folder / name).is_file():
            raise ModelFolderError(f"{folder / name} is missing. Build the archive again with `make archive`.")
        if (found := sha256_of(folder / name)) != expected:
            raise ModelFolderError(
                f"{folder / name} has sha256 {found[:12]}..., model.json says {expected[:12]}...: the file was changed "
                "or damaged. Restore it, or train or import the model again."
            )
    try:
        bias = check_shapes(folder / WEIGHTS, len(contract.classes))
        golden = Golden(**load_file(folder / GOLDEN))
        gate = _read_gate(folder, contract) if contract.gate else None
    except (ValueError, TypeError, KeyError, SafetensorError) as exc:
        raise ModelFolderError(f"The tensors in {folder} do not fit a ResNet18 of {contract.classes}: {exc}") from exc
    side = (1, contract.size, contract.size)
    if golden.inputs.shape[1:] != side or golden.logits.shape != (len(golden.inputs), len(contract.classes)):
        raise ModelFolderError(f"{folder / GOLDEN} does not hold (K, 1, S, S) inputs and (K, C) logits.")
    return ModelFolder(folder, contract, bias, golden, gate)


def _read_gate(folder: Path, contract: ModelContract) -> Gate:
    tensors = load_file(folder / GATE)
    gate = Gate(tensors["whitening"], tensors["centres"], **contract.gate)
    if gate.whitening.shape != (FEATURES, FEATURES) or gate.centres.shape != (len(contract.classes), FEATURES):
        raise ModelFolderError(
            f"{folder / GATE} does not hold a ({FEATURES}, {FEATURES}) whitening and one centre a class."
        )
    return gate


def save_model_folder(
    folder: Path,
    network: LungResNet18,
    contract: ModelContract,
    golden_inputs: npt.NDArray[np.uint8],
    gate: Gate | None = None,
) -> ModelContract:
    """Write weights (half precision), golden answers, gate and model.json; return the contract with the hashes.

    Args:
        folder: made if missing.
        network: its weights are rounded to half precision, and the golden logits are computed from the rounded ones.
        contract: `files` and `gate` are replaced; `agreement` is emptied, as no int8 graph is made here.
        golden_inputs: (K, 1, S, S) uint8.
        gate: None for a model whose training data is not known.
    """
    import torch
    from safetensors.torch import save_file

    from lungct.network import LungResNet18

    folder.mkdir(parents=True, exist_ok=True)
    halves = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor.contiguous()
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(halves, folder / WEIGHTS)
    rounded = LungResNet18(len(contract.classes))
    fill(rounded, halves)
    with torch.inference_mode():
        logits = rounded.eval()(normalize(torch.from_numpy(golden_inputs)))
    save_file({"inputs": torch.from_numpy(golden_inputs), "logits": logits.clone()}, folder / GOLDEN)
    distances = {}
    if gate:
        tensors = {"whitening": torch.from_numpy(gate.whitening), "centres": torch.from_numpy(gate.centres)}
        save_file(tensors, folder / GATE)
        distances = {"refer_above": gate.refer_above, "refuse_above": gate.refuse_above}
    hashes = {name: sha256_of(folder / name) for name in (WEIGHTS, GOLDEN, *([GATE] if gate else []))}
    filled = replace(contract, files=hashes, gate=distances, agreement=Agreement())
    filled.write(folder)
    return filled


def fill(network: LungResNet18, tensors: Mapping[str, Tensor]) -> None:
    """Load tensors of any float precision by torchvision's names; RuntimeError if one is missing, extra or misshapen.

    BatchNorm's batch counters play no part in inference and may be missing.
    """
    keys = network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=False)
    missing = [key for key in keys.missing_keys if not key.endswith("num_batches_tracked")]
    if missing or keys.unexpected_keys:
        raise RuntimeError(f"missing tensors {missing}, unknown tensors {keys.unexpected_keys}")


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
