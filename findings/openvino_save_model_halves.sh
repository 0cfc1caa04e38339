#!/usr/bin/env bash
# Believed: ov.save_model writes the model that it is given.
# True:     by default it writes float32 weights as float16, clips those over 65504 and says nothing; the answers move in the
#           third decimal. compress_to_fp16=False keeps them.
# Version:  openvino 2026.4.1, numpy 2.4.6
# Matters:  a graph that agreed with the reference before it was saved is another one afterwards; judge what was read back.
source "$(dirname "$0")/preamble"
packages openvino==2026.4.1 numpy==2.4.6
venv/bin/python - <<'PY'
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

print("openvino", ov.__version__, "numpy", np.__version__)
weights = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
weights[0, 0] = 70000
put = ops.parameter([1, 256], ov.Type.f32)
model = ov.Model([ops.matmul(put, weights, False, False)], [put])

def saved(**options):
    """Bytes of the weights, the large weight as it acts, and the largest change of the other answers."""
    ov.save_model(model, "m.xml", **options)
    again = ov.Core().compile_model("m.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    first, rest = np.eye(1, 256, dtype=np.float32), np.ones((1, 256), np.float32)
    change = np.abs(again(rest)[0] - rest @ weights)[0, 1:].max()
    return Path("m.bin").stat().st_size, float(again(first)[0][0, 0]), round(float(change), 5)

default, kept = saved(), saved(compress_to_fp16=False)
print("believed:", weights.nbytes, 70000.0, "0; seen", default, "with compress_to_fp16=False", kept)
raise SystemExit(not (default[:2] == (weights.nbytes // 2, 65504) and default[2] > 1e-3
                      and kept[:2] == (weights.nbytes, 70000) and kept[2] < 1e-3))
PY
