"""The tensors of a ResNet18 by torchvision's names, in NumPy: which there must be, and BatchNorm folded into them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import load_file

Floats = npt.NDArray[np.float32]

FEATURES = 512  # width of the pooled features
EPSILON = 1e-5  # of torchvision's BatchNorm
STATISTICS = ("weight", "bias", "running_mean", "running_var")


def list_convolutions() -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Name of each convolution and its BatchNorm, shape of its kernel; in the order of the forward pass."""
    yield "conv1", "bn1", (64, 3, 7, 7)
    width = 64
    for layer, wide in enumerate((64, 128, 256, FEATURES), 1):
        for block in range(2):
            prefix = f"layer{layer}.{block}"
            yield f"{prefix}.conv1", f"{prefix}.bn1", (wide, width, 3, 3)
            yield f"{prefix}.conv2", f"{prefix}.bn2", (wide, wide, 3, 3)
            if width != wide:
                yield f"{prefix}.downsample.0", f"{prefix}.downsample.1", (wide, width, 1, 1)
            width = wide


def list_shapes(classes: int) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of the network; BatchNorm's batch counters play no part in inference."""
    shapes: dict[str, tuple[int, ...]] = {"fc.weight": (classes, FEATURES), "fc.bias": (classes,)}
    for convolution, norm, kernel in list_convolutions():
        shapes[f"{convolution}.weight"] = kernel
        shapes |= {f"{norm}.{statistic}": kernel[:1] for statistic in STATISTICS}
    return shapes


def check_shapes(path: Path, classes: int) -> Floats:
    """Read the header of a safetensors file; return `fc.bias`, (classes,) float32.

    Raises:
        ValueError: a tensor is missing, unknown or misshapen. SafetensorError: the file is no safetensors.
    """
    with safe_open(path, "numpy") as stored:
        found = {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
        if wrong := {name for name, _ in found.items() ^ list_shapes(classes).items()}:
            raise ValueError(f"tensors missing, unknown or misshapen: {sorted(wrong)}")
        return np.asarray(stored.get_tensor("fc.bias"), np.float32)


def read_last_layer(path: Path) -> Floats:
    """Weight (C, 512) of the last layer, float32."""
    with safe_open(path, "numpy") as stored:
        return np.asarray(stored.get_tensor("fc.weight"), np.float32)


def read_weights(path: Path) -> dict[str, Floats]:
    """Every tensor of a safetensors file as float32."""
    return {name: tensor.astype(np.float32) for name, tensor in load_file(path).items()}


def fold_batchnorm(weights: Mapping[str, Floats]) -> dict[str, Floats]:
    """Tensors of the same network without BatchNorm, for one gray channel.

    Each convolution takes over the scale and shift of the BatchNorm behind it. Three equal input channels through
    conv1 are one channel through the sum of its kernels; its zero padding stays exact because the normalisation is
    left outside.

    Args:
        weights: float32, with the names and shapes of `list_shapes`.

    Returns:
        `weight` and `bias` of each convolution of `list_convolutions` and of `fc`; conv1.weight is (64, 1, 7, 7).
    """
    folded = {name: weights[name] for name in ("fc.weight", "fc.bias")}
    for convolution, norm, _ in list_convolutions():
        gain, shift, mean, variance = (weights[f"{norm}.{statistic}"] for statistic in STATISTICS)
        scale = gain / np.sqrt(variance + EPSILON)
        folded[f"{convolution}.weight"] = weights[f"{convolution}.weight"] * scale[:, None, None, None]
        folded[f"{convolution}.bias"] = shift - mean * scale
    folded["conv1.weight"] = folded["conv1.weight"].sum(1, keepdims=True)
    return folded
