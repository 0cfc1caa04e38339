#!/usr/bin/env bash
# Believed: SimpleITK's series reader places every voxel where the files say, or warns.
# True:     of a series with a tilted gantry it keeps spacing and orientation of the first slice and stacks along the normal:
#           the fifth slice lies 7 mm away from its own ImagePositionPatient, and nothing is said; highdicom refuses it.
# Version:  SimpleITK 2.5.7, highdicom 0.28.2
# Matters:  a heatmap registered through such a volume is beside the nodule; positions have to come from each file.
source "$(dirname "$0")/preamble"
packages SimpleITK==2.5.7 highdicom==0.28.2 pydicom==3.0.2 numpy==2.4.6
venv/bin/python - 2>&1 <<'PY'
from importlib.metadata import version
from math import cos, radians, sin

import highdicom
import numpy as np
import SimpleITK as sitk
from ct import ct
from pydicom.uid import generate_uid

print(*(f"{p} {version(p)}" for p in ("SimpleITK", "highdicom")))
same = {"SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
tilt = radians(20)
series = [ct(np.full((8, 8), z, np.uint16), ImagePositionPatient=[0, 0, 5 * z], InstanceNumber=z + 1, GantryDetectorTilt=20,
             ImageOrientationPatient=[1, 0, 0, 0, round(cos(tilt), 6), round(-sin(tilt), 6)], **same) for z in range(5)]
for z, dataset in enumerate(series):
    dataset.save_as(f"{z}.dcm", enforce_file_format=True)
volume = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames("."))
placed = np.array(volume.TransformIndexToPhysicalPoint((0, 0, 4)))
off = float(np.linalg.norm(placed - [0, 0, 20]))
try:
    refused = f"no, spacing {highdicom.get_volume_from_series(series).spacing}"
except ValueError as error:
    refused = str(error)
print(f"believed: slice 5 at 0 0 20; seen {placed.round(2).tolist()}, {off:.2f} mm away; highdicom: {refused}")
raise SystemExit(not (6 < off < 8 and "regular" in refused))
PY
