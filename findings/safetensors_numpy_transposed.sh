#!/usr/bin/env bash
# Believed: safetensors writes a numpy array with its values, or refuses one that is not contiguous, as it does for torch.
# True:     safetensors.numpy.save writes a transposed array's memory under the transposed shape: the file is valid, its
#           values are in other places. safetensors.torch.save refuses the same tensor.
# Version:  safetensors 0.8.0, numpy 2.4.6
# Matters:  weights taken out of another framework are often transposed on the way: wrong weights with a right hash.
source "$(dirname "$0")/preamble"
packages safetensors==0.8.0 numpy==2.4.6
venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
from safetensors.numpy import load, save

print("safetensors", version("safetensors"), "numpy", np.__version__)
weights = np.arange(6, dtype=np.float32).reshape(2, 3)
back = load(save({"w": weights.T}))["w"]
copied = load(save({"w": np.ascontiguousarray(weights.T)}))["w"]
print("believed:", weights.T.tolist(), "seen:", back.tolist(), "after ascontiguousarray:", copied.tolist())
raise SystemExit(not (back.tolist() == [[0, 1], [2, 3], [4, 5]] and np.array_equal(copied, weights.T)))
PY
