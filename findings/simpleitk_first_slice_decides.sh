#!/usr/bin/env bash
# Believed: SimpleITK's series reader finds a pixel type that holds every slice's rescaled values.
# True:     the first slice's Rescale Slope and Intercept decide for all: where it has none, a later slice's -24 HU is read as
#           65512; where its slope is 1, a later slice's halves are cut off. The same files in another order are right.
# Version:  SimpleITK 2.5.7, pydicom 3.0.2
# Matters:  scanners may scale each slice by itself; a volume's values then depend on the order of its files.
source "$(dirname "$0")/preamble"
packages SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
venv/bin/python -W ignore - 2>/dev/null <<'PY'
from importlib.metadata import version

import numpy as np
import SimpleITK as sitk
from ct import ct
from pydicom.uid import generate_uid

print(*(f"{p} {version(p)}" for p in ("SimpleITK", "pydicom")))

def read(*rescales):
    """Value of each slice, all of stored 1001, with these slopes and intercepts."""
    same = {"SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
    for z, (slope, intercept) in enumerate(rescales):
        ct(np.full((4, 4), 1001, np.uint16), ImagePositionPatient=[0, 0, z], InstanceNumber=z + 1, RescaleSlope=slope,
           RescaleIntercept=intercept, **same).save_as(f"{z}.dcm", enforce_file_format=True)
    image = sitk.ReadImage([f"{z}.dcm" for z in range(len(rescales))])
    return sitk.GetArrayFromImage(image)[:, 0, 0].tolist()

seen = read((1, 0), (1, -1024)), read((1, -1024), (1, 0)), read((1, 0), (0.5, 0)), read((0.5, 0), (1, 0))
print("believed: ([1001, -23], [-23, 1001], [1001, 500.5], [500.5, 1001]); seen", seen)
raise SystemExit(not (seen == ([1001, 65513], [-23, 1001], [1001, 500], [500.5, 1001.0])))
PY
