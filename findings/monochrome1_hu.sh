#!/usr/bin/env bash
# Believed: HU of a MONOCHROME1 file are the same in every reader: Photometric Interpretation is about display (PS3.3 C.7.6.3.1.2).
# True:     SimpleITK, and highdicom's get_frame() and get_volume(), mirror the values over the range of Bits Stored without a
#           word: air is 3071, water 2047. pydicom gives HU, and so does highdicom with apply_presentation_lut=False.
# Version:  SimpleITK 2.5.7, highdicom 0.28.2, pydicom 3.0.2
# Matters:  a lung turned inside out still looks like a picture, and gets a class.
source "$(dirname "$0")/preamble"
packages SimpleITK==2.5.7 highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
venv/bin/python -W ignore - 2>/dev/null <<'PY'
from importlib.metadata import version

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from ct import ct
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut

print(*(f"{p} {version(p)}" for p in ("SimpleITK", "highdicom", "pydicom")))
ct(np.array([[0, 124, 1024, 1424]], np.uint16), PhotometricInterpretation="MONOCHROME1").save_as("a.dcm", enforce_file_format=True)
file, image = dcmread("a.dcm"), hd.imread("a.dcm")
seen = {"pydicom": apply_modality_lut(file.pixel_array, file).ravel().tolist(),
        "SimpleITK": sitk.GetArrayFromImage(sitk.ReadImage("a.dcm")).ravel().tolist(),
        "highdicom": image.get_frame(1).ravel().tolist(),
        "highdicom, no LUT": image.get_frame(1, apply_presentation_lut=False).ravel().tolist()}
hu = [-1024, -900, 0, 400]
print("believed:", hu, "seen:", seen)
raise SystemExit(not (seen["pydicom"] == seen["highdicom, no LUT"] == hu and seen["SimpleITK"] == seen["highdicom"] == [3071, 2947, 2047, 1647]))
PY
