"""The network as an OpenVINO graph, built from the folded weights: no torch, no tracing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import openvino as ov
from openvino import opset13 as op

from lungct.model import BY_MEAN, MEAN, STD, Floats, Pooling, list_convolutions

OUTPUTS = ("logits", "maps", "features")
POOLING = ("evidence_pooled", "evidence_peak", "evidence_below", "evidence_scaled", "evidence_share", "evidence_log")


def build_graph(folded: Mapping[str, Floats], size: int, pooling: Pooling = BY_MEAN) -> ov.Model:
    """(1, 1, size, size) uint8 -> OUTPUTS of one slice, as in `network.LungResNet18.explain`.

    The batch is one on purpose: a slice then gets the same bytes whatever its neighbours are, and its activations stay
    in the cache of one core, which is faster than a batch on a CPU.

    Args:
        folded: tensors of `weights.fold_batchnorm`. Convolutions keep their names, for the tool that quantises them.
        size: side of the input.
        pooling: of the evidence. Its parts are named in POOLING.
    """
    strides = {name: 2 for name, _, (out, into, *_) in list_convolutions() if out != into}

    def convolve(x: ov.Output, name: str) -> ov.Output:
        kernel = folded[f"{name}.weight"]
        if name == "conv1":
            kernel = kernel / np.float32(STD)
        stride, margin = [strides.get(name, 1)] * 2, [kernel.shape[-1] // 2] * 2
        sums = op.convolution(x, op.constant(kernel), stride, margin, margin, [1, 1], name=name)
        return op.add(sums, op.constant(folded[f"{name}.bias"][None, :, None, None]))

    pixels = op.parameter([1, 1, size, size], np.uint8, name="pixels")
    x = op.relu(convolve(op.subtract(op.convert(pixels, np.float32), op.constant(np.float32(MEAN))), "conv1"))
    x = op.max_pool(x, [2, 2], [1, 1], [1, 1], [1, 1], [3, 3]).output(0)
    for block in (f"layer{layer}.{number}" for layer in (1, 2, 3, 4) for number in (0, 1)):
        y = convolve(op.relu(convolve(x, f"{block}.conv1")), f"{block}.conv2")
        shortcut = convolve(x, f"{block}.downsample.0") if f"{block}.downsample.0.weight" in folded else x
        x = op.relu(op.add(y, shortcut))
    features = op.reduce_mean(x, op.constant(np.array([2, 3])), name="feature_means")
    weight = folded["fc.weight"]
    maps = op.convolution(x, op.constant(weight[:, :, None, None]), [1, 1], [0, 0], [0, 0], [1, 1], name="evidence")
    # Out of the maps and not of the features: in int8, too, the evidence then adds up to the logit.
    logits = op.add(pool(maps, pooling), op.constant(folded["fc.bias"]))
    results = [op.result(output) for output in (logits, maps, features)]
    for result, name in zip(results, OUTPUTS, strict=True):
        result.output(0).get_tensor().set_names({name})
    return ov.Model(results, [pixels], "lung_ct")


def pool(maps: ov.Output, pooling: Pooling) -> ov.Output:
    """(1, C, h, w) evidence -> (1, C) pooled, as `pooling.Pooling.pool` has it."""
    cells = op.constant(np.array([2, 3]))
    pooled, peak, below, scaled, share, log = POOLING
    if pooling.kind == "mean":
        return op.reduce_mean(maps, cells, name=pooled)
    most = op.reduce_max(maps, cells, keep_dims=True, name=peak)
    r = op.constant(np.float32(pooling.r))
    powers = op.exp(op.multiply(op.subtract(maps, most, name=below), r, name=scaled))
    over = op.divide(op.log(op.reduce_mean(powers, cells, name=share)), r, name=log)
    return op.add(op.squeeze(most, cells), over, name=pooled)
