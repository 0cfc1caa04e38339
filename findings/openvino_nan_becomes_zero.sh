#!/usr/bin/env bash
# Believed: a NaN in the input comes out as NaN, as IEEE 754 and torch have it, so that a check of the answer finds it.
# True:     OpenVINO's ReLU, clamp and maximum make it 0: a picture of nothing but NaN has finite logits behind any ReLU.
# Version:  openvino 2026.4.1, numpy 2.4.6
# Matters:  the check belongs before the network: ours refuses NaN pixels and hands the network whole bytes.
source "$(dirname "$0")/preamble"
packages openvino==2026.4.1 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
import openvino as ov
from openvino import opset13 as ops

print("openvino", ov.__version__, "numpy", np.__version__)

def answer(step, *shape):
    put = ops.parameter(list(shape), ov.Type.f32)
    model = ov.Core().compile_model(ov.Model([step(put)], [put]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return model(np.full(shape, np.nan, np.float32))[0].copy()

def network(put):
    weights = np.ones((4, 1, 3, 3), np.float32)
    evidence = ops.relu(ops.convolution(put, weights, [1, 1], [1, 1], [1, 1], [1, 1]))
    return ops.reduce_mean(evidence, np.array([2, 3]))

steps = {"relu": ops.relu, "clamp": lambda put: ops.clamp(put, 0, 6), "maximum": lambda put: ops.maximum(put, np.float32(0)),
         "sigmoid": ops.sigmoid}
seen = {name: float(answer(step, 1, 4)[0, 0]) for name, step in steps.items()} | {"network": answer(network, 1, 1, 8, 8).max().item()}
print("believed: all nan, as numpy's", np.maximum(np.float32("nan"), 0), "- seen", seen)
raise SystemExit(not (seen["sigmoid"] != seen["sigmoid"] and {seen[name] for name in seen if name != "sigmoid"} == {0.0}))
PY
