#!/usr/bin/env bash
# Believed: what Dataset.pixel_array can read, Dataset.decompress() can decompress.
# True:     for signed 12-bit JPEG-LS with gdcm beside pyjpegls, pixel_array is right and decompress() raises "output array
#           is read-only": the iterating decoder gets gdcm's bytes and corrects the sign in place. decoding_plugin
#           ="pyjpegls" helps.
# Version:  pydicom 3.0.2, python-gdcm 3.2.6, pyjpegls 1.5.1
# Matters:  the usual signed CT in JPEG-LS: a pipeline that decompresses first fails where ours, reading arrays, does not.
source "$(dirname "$0")/preamble"
packages pydicom==3.0.2 python-gdcm==3.2.6 pyjpegls==1.5.1 numpy==2.4.6
venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
from ct import ct
from pydicom.uid import JPEGLSLossless

print(*(f"{p} {version(p)}" for p in ("pydicom", "python-gdcm", "pyjpegls")))
pixels = np.tile(np.arange(-1000, 1048, 32, dtype=np.int16), (64, 1))

def compressed():
    dataset = ct(pixels, signed=1)
    dataset.compress(JPEGLSLossless)
    return dataset

read = np.array_equal(compressed().pixel_array, pixels)
try:
    compressed().decompress()
    raised = None
except ValueError as error:
    raised = str(error)
other = compressed()
other.decompress(decoding_plugin="pyjpegls")
helped = np.array_equal(other.pixel_array, pixels)
print("believed: both work; seen: pixel_array right", read, "- decompress() raised:", raised, "- by pyjpegls right", helped)
raise SystemExit(not (read and raised and "read-only" in raised and helped))
PY
