"""model.json, the contract between training and serving."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lungct.errors import ModelFolderError
from lungct.model.agreement import Agreement
from lungct.model.judged import Judged
from lungct.model.pooling import BY_MEAN, Pooling
from lungct.model.preprocess import Geometry
from lungct.window import LUNG, Window

WEIGHTS, CONTRACT = "weights.safetensors", "model.json"
GATE_LIMITS = ("refer_above", "refuse_above", "least_sharpness")
SEAL = "sha256"  # in model.json: of all else that it says
# TorchServe splits its metrics at these three, and a class whose name has one loses its counts; the Open Inference
# Protocol's reply lists the classes by commas.
SEPARATORS = ",:|"


@dataclass(frozen=True)
class ModelContract:
    """What model.json says.

    `classes` is in logit order; `files` maps each file beside it to its sha256; `gate` holds the limits of
    `Statistics`, and is empty where the model has no gate; `agreement` is that of the int8 graph with fp32, by
    each engine that was measured.
    `refer_below` holds for each class the confidence under which a slice called so is referred, over 1 where it always
    is; it is empty where no such limit is known. `judged` is None where that is not known either.
    """

    version: str
    classes: tuple[str, ...] = ("Benign", "Malignant", "Normal")
    name: str = "lung_ct"
    architecture: str = "resnet18"
    size: int = 224
    pooling: Pooling = BY_MEAN
    geometry: Geometry = "pad"
    mean: float = 0.5
    std: float = 0.5
    window: Window = LUNG
    temperature: float = 1.0
    refer_below: Mapping[str, float] = field(default_factory=dict)
    gate: Mapping[str, float] = field(default_factory=dict)
    judged: Judged | None = None
    agreement: Mapping[str, Agreement] = field(default_factory=dict)
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
        """Parse `folder`/model.json; ModelFolderError if it is missing, no JSON, changed since, or of other keys."""
        try:
            raw = json.loads((folder / CONTRACT).read_text())
            parts: dict[str, Any] = {"window": Window(**raw["window"])}
            parts["pooling"] = Pooling(**raw.get("pooling", {}))  # came with version 2.0
            if judged := raw.get("judged"):
                parts["judged"] = Judged(**{**judged, "kernels": tuple(judged["kernels"])})
            agreement = raw.get("agreement", {})
            if "slices" in agreement:  # of one engine, as folders had it up to version 1.3
                agreement = {"openvino-int8": agreement}
            parts["agreement"] = {name: Agreement(**found) for name, found in agreement.items()}
            limits = raw.get("refer_below", {})
            if not isinstance(limits, dict):  # one for all classes, as folders had it up to version 1.1
                limits = dict.fromkeys(raw["classes"], limits)
            parts["refer_below"] = {name: float(limit) for name, limit in limits.items()}
            stated = raw.pop(SEAL, None)
            sealed = stated == count_seal(raw)
            contract = cls(**{**raw, **parts, "classes": tuple(raw["classes"])})
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise ModelFolderError(f"{folder / CONTRACT} is no model contract: {exc}") from exc
        if not sealed:
            raise ModelFolderError(
                f"{folder / CONTRACT} was changed or damaged: its own {SEAL} is missing or does not fit. Restore it; "
                "after a change on purpose `make archive ARGS='--seal-model --force'`."
            )
        if (contract.mean, contract.std, contract.architecture) != (0.5, 0.5, "resnet18"):
            raise ModelFolderError(f"{folder / CONTRACT} asks for a normalisation or network that this server lacks.")
        if any(not name.isprintable() or set(name) & set(SEPARATORS) for name in contract.classes):
            raise ModelFolderError(
                f"{folder / CONTRACT} has a class whose name is not printable or holds one of {' '.join(SEPARATORS)}, "
                "which the server's metrics cannot count; rename the class."
            )
        if not contract.pooling.known:
            raise ModelFolderError(f"{folder / CONTRACT} asks for a pooling that this server lacks.")
        if not contract.temperature > 0:
            raise ModelFolderError(f"{folder / CONTRACT} has a temperature that is not above 0.")
        if set(contract.refer_below) not in (set(), set(contract.classes)):
            raise ModelFolderError(f"{folder / CONTRACT} has thresholds of other classes than {contract.classes}.")
        # The sharpness came with version 1.3.
        if contract.gate and set(contract.gate) | {"least_sharpness"} != set(GATE_LIMITS):
            raise ModelFolderError(f"{folder / CONTRACT} has a gate without its limits.")
        return contract

    def document(self) -> dict[str, Any]:
        """The contract as JSON knows it."""
        tuples: dict[str, Any] = {"window": self.window._asdict(), "pooling": self.pooling._asdict()}
        tuples["judged"] = self.judged._asdict() if self.judged else None
        return {
            **asdict(self),
            **tuples,
            "agreement": {name: found._asdict() for name, found in self.agreement.items()},
        }

    def write(self, folder: Path) -> None:
        """Write model.json into `folder`, sealed by a hash of what it says.

        Raises:
            ValueError: a number that JSON does not know: no server could tell it.
        """
        document = json.loads(json.dumps(self.document(), allow_nan=False))
        (folder / CONTRACT).write_text(json.dumps({**document, SEAL: count_seal(document)}, indent=2) + "\n")


def count_seal(document: Mapping[str, Any]) -> str:
    """Hex sha256 of a JSON document, however it is laid out."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def seal(folder: Path) -> None:
    """Vouch for model.json as it is now; ModelFolderError when it is missing or no JSON."""
    try:
        document = json.loads((folder / CONTRACT).read_text())
        document.pop(SEAL, None)
    except (OSError, ValueError, AttributeError, TypeError) as exc:
        raise ModelFolderError(f"{folder / CONTRACT} is no model contract: {exc}") from exc
    (folder / CONTRACT).write_text(json.dumps({**document, SEAL: count_seal(document)}, indent=2) + "\n")
