#!/usr/bin/env bash
# Believed: nncf.quantize() calibrates on the whole data set that it is given.
# True:     it takes the first 300 items, in the order they come. Data sorted by class or by scanner are calibrated on the
#           first class, and what is larger in the rest is cut off: here to a quarter.
# Version:  nncf 3.4.0, openvino 2026.4.1
# Matters:  folders of slices come sorted; a calibration set is drawn, and its size is said.
source "$(dirname "$0")/preamble"
packages nncf==3.4.0 openvino==2026.4.1 numpy==2.4.6
venv/bin/python -W ignore - 2>/dev/null <<'PY' | grep -v -e INFO -e WARNING
from importlib.metadata import version

import nncf
import numpy as np
import openvino as ov
from openvino import opset13 as ops

put = ops.parameter([1, 1, 8, 8], ov.Type.f32)
weights = np.random.default_rng(0).random((4, 1, 3, 3)).astype(np.float32)
model = ov.Model([ops.convolution(put, weights, [1, 1], [1, 1], [1, 1], [1, 1])], [put])
used = []

def take(value):
    used.append(value)
    return np.full((1, 1, 8, 8), value, np.float32)

small = nncf.quantize(model, nncf.Dataset(range(1000), take))
first = (len(used), max(used))

def answer(graph, value):
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return float(compiled(np.full((1, 1, 8, 8), value, np.float32))[0][0, 0, 4, 4])

share = answer(small, 600) / answer(model, 600)
print(*(f"{p} {version(p)}" for p in ("nncf", "openvino")))
print("believed: 1000 items up to 999; seen", first, f"- the answer to 600 is {share:.2f} of the exact one")
raise SystemExit(not (first == (300, 299) and 0.2 < share < 0.3))
PY
