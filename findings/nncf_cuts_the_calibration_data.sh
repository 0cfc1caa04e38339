#!/usr/bin/env bash
# Believed: nncf.quantize() chooses ranges that hold the data that it calibrates on.
# True:     the end of an activation's range is by default the mean of the items' maxima: of the very items that it saw,
#           half are cut off, here to half of their value. RangeEstimatorParametersSet.MINMAX holds them all.
# Version:  nncf 3.4.0, openvino 2026.4.1
# Matters:  where a network speaks by its largest activation, as one that finds nodules does, that is what is cut off.
source "$(dirname "$0")/preamble"
packages nncf==3.4.0 openvino==2026.4.1 numpy==2.4.6
venv/bin/python -W ignore - 2>/dev/null <<'PY' | grep -v -e INFO -e WARNING
from importlib.metadata import version

import nncf
import numpy as np
import openvino as ov
from nncf.quantization.range_estimator import RangeEstimatorParametersSet
from openvino import opset13 as ops

put = ops.parameter([1, 1, 8, 8], ov.Type.f32)
weights = np.random.default_rng(0).random((4, 1, 3, 3)).astype(np.float32)
model = ov.Model([ops.convolution(put, weights, [1, 1], [1, 1], [1, 1], [1, 1])], [put])
items = [np.full((1, 1, 8, 8), value, np.float32) for value in range(101)]

def answer(graph):
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return float(compiled(items[100])[0][0, 0, 4, 4])

def quantize(**options):
    ranges = nncf.AdvancedQuantizationParameters(**options)
    return nncf.quantize(model, nncf.Dataset(items), advanced_parameters=ranges)

default = answer(quantize()) / answer(model)
whole = answer(quantize(activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX)) / answer(model)
print(*(f"{p} {version(p)}" for p in ("nncf", "openvino")))
print(f"believed: the largest item, 100, is held; seen {default:.2f} of the exact answer, by MINMAX {whole:.2f}")
raise SystemExit(not (0.45 < default < 0.55 and 0.97 < whole < 1.03))
PY
