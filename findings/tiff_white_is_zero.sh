#!/usr/bin/env bash
# Believed: a reader either undoes TIFF's WhiteIsZero or leaves it, at every depth alike.
# True:     Pillow and OpenCV invert 8-bit images and leave 16-bit ones as stored; tifffile never inverts; Pillow opens
#           signed 16-bit files as BlackIsZero only.
# Version:  pillow 13.0.0, opencv-python-headless 5.0.0.93, tifffile 2026.3.3
# Matters:  the same slice exported at 8 and at 16 bits is a negative of itself, and a lung is scored inside out.
source "$(dirname "$0")/preamble"
packages pillow==13.0.0 opencv-python-headless==5.0.0.93 tifffile==2026.3.3 numpy==2.4.6
OPENCV_LOG_LEVEL=SILENT venv/bin/python - <<'PY'
import io
from importlib.metadata import version

import cv2
import numpy as np
import tifffile
from PIL import Image

print(*(f"{p} {version(p)}" for p in ("pillow", "opencv-python-headless", "tifffile")))

def pillow(file):
    try:
        return np.asarray(Image.open(io.BytesIO(file))).ravel().tolist()
    except Image.UnidentifiedImageError:
        return "refused"

def readings(dtype):
    out = io.BytesIO()
    tifffile.imwrite(out, np.array([[0, 1, 100]], dtype), photometric="miniswhite")
    file = out.getvalue()
    opencv = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED).ravel().tolist()
    return pillow(file), opencv, tifffile.imread(io.BytesIO(file)).ravel().tolist()

seen = {dtype: readings(dtype) for dtype in ("uint8", "uint16", "int16")}
print("believed: one rule for all depths; seen (Pillow, OpenCV, tifffile):", seen)
stored, inverted = [0, 1, 100], [255, 254, 155]
raise SystemExit(not (seen == {"uint8": (inverted, inverted, stored), "uint16": (stored, stored, stored),
                               "int16": ("refused", stored, stored)}))
PY
