#!/usr/bin/env bash
# Believed: a numpy array of dtype S holds a file's bytes, and tritonclient sends them whole.
# True:     dtype S drops trailing zero bytes, so a file that ends in zeros is sent cut short; dtype=object keeps it.
# Version:  tritonclient 2.73.0, numpy 2.4.6
# Matters:  pixel data of CT often ends in zeros: the DICOM file arrives truncated and the server is blamed.
source "$(dirname "$0")/preamble"
packages 'tritonclient[http]==2.73.0' 'numpy==2.4.6'
venv/bin/python - <<'PY'
from importlib.metadata import version
import numpy as np
import tritonclient.http as http

print("tritonclient", version("tritonclient"), "numpy", np.__version__)
file = b"pixels" + bytes(10)

def sent(dtype):
    tensor = http.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([file], dtype=dtype))
    return len(tensor._get_binary_data()) - 4  # four bytes of length come first

print("believed: 16 bytes either way; seen: dtype=S", sent("S"), "dtype=object", sent(object))
raise SystemExit(not (sent("S") == 6 and sent(object) == 16))
PY
