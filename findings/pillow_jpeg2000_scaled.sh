#!/usr/bin/env bash
# Believed: a 12-bit JPEG 2000 image comes out of every reader with its own values, signed ones signed.
# True:     Pillow multiplies by 16 and moves signed values up by half the range, without a word; OpenCV keeps unsigned
#           values and refuses signed ones; pylibjpeg-openjpeg keeps both.
# Version:  pillow 13.0.0, opencv-python-headless 5.0.0.93, pylibjpeg-openjpeg 2.6.0
# Matters:  HU read through Pillow are 16 times too far from zero, so a plain .jp2 of a CT has no window that fits it.
source "$(dirname "$0")/preamble"
packages pillow==13.0.0 opencv-python-headless==5.0.0.93 pylibjpeg-openjpeg==2.6.0 numpy==2.4.6
OPENCV_LOG_LEVEL=SILENT venv/bin/python - <<'PY'
import io
from importlib.metadata import version

import cv2
import numpy as np
from openjpeg.utils import decode, encode_array
from PIL import Image

print(*(f"{p} {version(p)}" for p in ("pillow", "opencv-python-headless", "pylibjpeg-openjpeg")))

def readings(values, dtype):
    pixels = np.tile(np.array(values, dtype), (64, 16))
    stream = bytes(encode_array(pixels, bits_stored=12, photometric_interpretation=2, codec_format=0))
    opencv = cv2.imdecode(np.frombuffer(stream, np.uint8), cv2.IMREAD_UNCHANGED)
    return [None if a is None else a[0, : len(values)].tolist()
            for a in (np.asarray(Image.open(io.BytesIO(stream))), opencv, decode(stream))]

unsigned, signed = readings([0, 1, 100, 4095], np.uint16), readings([-2048, -1, 0, 2047], np.int16)
print("believed: 0 1 100 4095 and -2048 -1 0 2047; seen (Pillow, OpenCV, openjpeg):", unsigned, signed)
raise SystemExit(not (unsigned == [[0, 16, 1600, 65520], [0, 1, 100, 4095], [0, 1, 100, 4095]]
                      and signed == [[0, 32752, 32768, 65520], None, [-2048, -1, 0, 2047]]))
PY
