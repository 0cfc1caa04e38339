#!/usr/bin/env bash
# Believed: SimpleITK's series reader refuses slices that do not make a regular volume.
# True:     it spreads them evenly: of five slices with one missing between them the spacing is 1.25 mm and the fourth lies
#           0.25 mm off; two acquisitions of the same three places become six slices 0.4 mm apart. A line on standard error
#           is all it says.
# Version:  SimpleITK 2.5.7, pydicom 3.0.2
# Matters:  repeated and lost slices are common; volumes, and where a heatmap lies, are then wrong by a factor.
source "$(dirname "$0")/preamble"
packages SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
venv/bin/python -W ignore - 2>/dev/null <<'PY'
from importlib.metadata import version
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from ct import ct
from pydicom.uid import generate_uid

print(*(f"{p} {version(p)}" for p in ("SimpleITK", "pydicom")))

def read(name, *places):
    Path(name).mkdir()
    same = {"SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
    for number, z in enumerate(places):
        ct(np.full((4, 4), z, np.uint16), ImagePositionPatient=[0, 0, z], InstanceNumber=number + 1, **same).save_as(
            f"{name}/{number}.dcm", enforce_file_format=True)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(name))
    return image.GetDepth(), round(image.GetSpacing()[2], 3)

missing, twice = read("missing", 0, 1, 2, 4, 5), read("twice", 0, 1, 2, 0, 1, 2)
print("believed: refused; seen (slices, spacing): one missing", missing, "all twice", twice)
raise SystemExit(not (missing == (5, 1.25) and twice == (6, 0.4)))
PY
