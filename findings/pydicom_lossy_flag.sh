#!/usr/bin/env bash
# Believed: pydicom's compress() marks what it makes lossy, and decompress() keeps the mark, as PS3.3 C.7.6.1.1.5 asks.
# True:     neither JPEG-LS near-lossless nor lossy JPEG 2000 sets Lossy Image Compression; decompressed, only changed
#           pixels are left of it.
# Version:  pydicom 3.0.2, pyjpegls 1.5.1, pylibjpeg-openjpeg 2.6.0
# Matters:  a file that says nothing of loss may have lost; what the pixels show decides whether a slice is referred.
source "$(dirname "$0")/preamble"
packages pydicom==3.0.2 pyjpegls==1.5.1 pylibjpeg==2.1.0 pylibjpeg-openjpeg==2.6.0 numpy==2.4.6
venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
from ct import ct
from pydicom.uid import JPEG2000, JPEGLSNearLossless

print(*(f"{p} {version(p)}" for p in ("pydicom", "pyjpegls", "pylibjpeg-openjpeg")))
pixels = np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)
seen = []
for syntax, how in ((JPEGLSNearLossless, {"jls_error": 3}), (JPEG2000, {"j2k_cr": [20]})):
    dataset = ct(pixels)
    dataset.compress(syntax, **how)
    flags = [dataset.get("LossyImageCompression")]
    dataset.decompress()
    flags.append(dataset.get("LossyImageCompression"))
    change = int(np.abs(dataset.pixel_array.astype(int) - pixels).max())
    seen.append((flags, change > 0))
    print(f"{syntax.name}: believed 01 and 01; seen {flags}, values off by up to {change}")
raise SystemExit(not (seen == [([None, None], True)] * 2))
PY
