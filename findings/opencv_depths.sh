#!/usr/bin/env bash
# Believed: OpenCV writes int16 as 16-bit PNG or raises, and reads a 12-bit TIFF with its own values.
# True:     imencode answers True and the PNG has 8 bits, clipped to 0..255; a packed 12-bit TIFF comes out times 16, where
#           Pillow gives the values themselves.
# Version:  opencv-python-headless 5.0.0.93, pillow 13.0.0
# Matters:  a CT in HU that passes through imwrite keeps fat and nothing else; a window picked for 12 bits misses by 16.
source "$(dirname "$0")/preamble"
packages opencv-python-headless==5.0.0.93 pillow==13.0.0 numpy==2.4.6
OPENCV_LOG_LEVEL=SILENT venv/bin/python - <<'PY'
import io
import struct
from importlib.metadata import version

import cv2
import numpy as np
from PIL import Image

print(*(f"{p} {version(p)}" for p in ("opencv-python-headless", "pillow")))
told, png = cv2.imencode(".png", np.array([[-1000, 0, 100, 3000]], np.int16))
back = cv2.imdecode(png, cv2.IMREAD_UNCHANGED)
print("int16 as PNG: told", told, "back", back.dtype, back.tolist())

values = [0, 1, 100, 4095]
packed = int("".join(f"{v:012b}" for v in values), 2).to_bytes(6, "big")
tags = [(256, 3, 4), (257, 3, 1), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 3, 1), (279, 4, 6)]
file = b"II*\0" + struct.pack("<I", 14) + packed + struct.pack("<H", len(tags))
file += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags) + bytes(4)
seen = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)[0].tolist(),
        np.asarray(Image.open(io.BytesIO(file)))[0].tolist()]
print("believed: 0 1 100 4095; seen (OpenCV, Pillow):", seen)
raise SystemExit(not (told and back.dtype == np.uint8 and back.tolist() == [[0, 0, 100, 255]]
                      and seen == [[0, 16, 1600, 65520], values]))
PY
