#!/usr/bin/env bash
# Believed: a float Parametric Map by highdicom opens in highdicom's own frame reader, in SimpleITK and in GDCM.
# True:     pydicom reads it, highdicom by get_volume() only: get_frame() raises AttributeError; SimpleITK finds no reader
#           and GDCM answers False.
# Version:  highdicom 0.28.2, SimpleITK 2.5.7, python-gdcm 3.2.6, pydicom 3.0.2
# Matters:  heatmaps as Parametric Maps need a second form (captures) for readers that show none; docs tell which.
source "$(dirname "$0")/preamble"
packages highdicom==0.28.2 SimpleITK==2.5.7 python-gdcm==3.2.6 pydicom==3.0.2 numpy==2.4.6
venv/bin/python -W ignore - 2>/dev/null <<'PY'
from importlib.metadata import version

import gdcm
import highdicom as hd
import numpy as np
import pydicom
import SimpleITK as sitk
from ct import ct
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

print(*(f"{p} {version(p)}" for p in ("highdicom", "SimpleITK", "python-gdcm", "pydicom")))
same = {"SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
series = [ct(np.zeros((16, 24), np.uint16), ImagePositionPatient=[0, 0, z], InstanceNumber=z + 1, **same) for z in range(3)]
values = np.random.default_rng(0).random((3, 16, 24)).astype(np.float32)
mapping = hd.pm.RealWorldValueMapping("a", "a", codes.UCUM.NoUnits, (0.0, 1.0), slope=1, intercept=0)
hd.pm.ParametricMap(series, values, generate_uid(), 2, generate_uid(), 1, "m", "m", "1", "1", False, [mapping],
                    window_center=0.5, window_width=1).save_as("map.dcm")

def told(read):
    try:
        return str(read())
    except (AttributeError, RuntimeError) as error:
        return type(error).__name__

def by_gdcm():
    reader = gdcm.ImageReader()
    reader.SetFileName("map.dcm")
    return reader.Read()

seen = {"pydicom": told(lambda: pydicom.dcmread("map.dcm").pixel_array.dtype),
        "get_volume": told(lambda: hd.imread("map.dcm").get_volume().array.shape),
        "get_frame": told(lambda: hd.imread("map.dcm").get_frame(1).dtype),
        "SimpleITK": told(lambda: sitk.ReadImage("map.dcm").GetSize()), "GDCM": told(by_gdcm)}
print("believed: all read it; seen:", seen)
raise SystemExit(not (seen == {"pydicom": "float32", "get_volume": "(3, 16, 24)", "get_frame": "AttributeError",
                               "SimpleITK": "RuntimeError", "GDCM": "False"}))
PY
