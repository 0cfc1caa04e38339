"""The model folder: weights, golden answers, gate and the contract that vouches for them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file

from lungct.errors import ModelFolderError
from lungct.model.contract import GATE_LIMITS, WEIGHTS, ModelContract
from lungct.model.preprocess import normalize
from lungct.model.statistics import Statistics
from lungct.model.weights import FEATURES, check_shapes, read_last_layer, read_weights

if TYPE_CHECKING:  # torch is only imported where its network is asked for
    from torch import Tensor

    from lungct.model.network import LungResNet18

GOLDEN, GATE = "golden.safetensors", "gate.safetensors"
QUANTISED, QUANTISED_WEIGHTS = "int8.xml", "int8.bin"  # the two files of an OpenVINO graph


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
    gate: Statistics | None

    def read_weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """The tensors as float32, read when asked for: an engine keeps its own form of them."""
        return read_weights(self.path / WEIGHTS)

    def read_last_layer(self) -> npt.NDArray[np.float32]:
        """Its weight (C, 512), read when asked for."""
        return read_last_layer(self.path / WEIGHTS)

    @cached_property
    def network(self) -> LungResNet18:
        """The plain torch network, made on first use."""
        import torch

        from lungct.model.network import LungResNet18

        network = LungResNet18(len(self.contract.classes), self.contract.pooling)
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


def _read_gate(folder: Path, contract: ModelContract) -> Statistics:
    tensors = load_file(folder / GATE)
    gate = Statistics(tensors["whitening"], tensors["centres"], **contract.gate)
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
    gate: Statistics | None = None,
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

    from lungct.model.network import LungResNet18

    folder.mkdir(parents=True, exist_ok=True)
    halves = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor.contiguous()
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(halves, folder / WEIGHTS)
    rounded = LungResNet18(len(contract.classes), contract.pooling)
    fill(rounded, halves)
    with torch.inference_mode():
        logits = rounded.eval()(normalize(torch.from_numpy(golden_inputs)))
    save_file({"inputs": torch.from_numpy(golden_inputs), "logits": logits.clone()}, folder / GOLDEN)
    limits = {}
    if gate:
        tensors = {"whitening": torch.from_numpy(gate.whitening), "centres": torch.from_numpy(gate.centres)}
        save_file(tensors, folder / GATE)
        limits = {name: getattr(gate, name) for name in GATE_LIMITS}
    hashes = {name: sha256_of(folder / name) for name in (WEIGHTS, GOLDEN, *([GATE] if gate else []))}
    filled = replace(contract, files=hashes, gate=limits, agreement={})
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
