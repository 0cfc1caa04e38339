#!/usr/bin/env bash
# Believed: OpenVINO reads a big-endian numpy array the same way wherever it is handed over, and refuses values that the
#           input's type has no room for.
# True:     passed to a compiled model its values are kept; wrapped in ov.Tensor the bytes are taken as little-endian. An
#           array of uint16 or float32 given to a u8 input is cut and wrapped without a word: 256 becomes 0, 0.9 becomes 0.
# Version:  openvino 2026.4.1, numpy 2.4.6
# Matters:  PNG, TIFF and old DICOM are big-endian, and 16-bit pixels into a u8 graph still give a plausible class.
source "$(dirname "$0")/preamble"
packages openvino==2026.4.1 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
import openvino as ov
from openvino import opset13 as ops

print("openvino", ov.__version__, "numpy", np.__version__)

def echo(kind):
    put = ops.parameter([1, 3], kind)
    return ov.Core().compile_model(ov.Model([ops.convert(put, "f32")], [put]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

numbers = np.array([[1, 2, 3]], ">i4")
called, wrapped = echo(ov.Type.i32)(numbers)[0].tolist(), ov.Tensor(numbers).data.tolist()
small = echo(ov.Type.u8)
cut = [small(array)[0].tolist() for array in (np.array([[255, 256, 300]], np.uint16), np.array([[0.9, 255.9, 300]], np.float32))]
print("big-endian 1 2 3: called", called, "ov.Tensor", wrapped)
print("into u8: believed refused; seen 255 256 300 as", cut[0], "and 0.9 255.9 300 as", cut[1])
raise SystemExit(not (called == [[1, 2, 3]] and wrapped == [[1 << 24, 2 << 24, 3 << 24]]
                      and cut == [[[255, 0, 44]], [[0, 255, 44]]]))
PY
