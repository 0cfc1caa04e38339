#!/usr/bin/env bash
# Believed: the first plane of a volume is the series' lowest slice, whichever library stacks the files.
# True:     highdicom puts the highest slice first, however the files were sorted; SimpleITK the lowest. Both say so in
#           their geometry, and the arrays are mirrored along z.
# Version:  highdicom 0.28.2, SimpleITK 2.5.7
# Matters:  scores by slice index from one, drawn over the other, mark the mirrored slice: we go by SOP Instance UID.
source "$(dirname "$0")/preamble"
packages highdicom==0.28.2 SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from ct import ct
from pydicom.uid import generate_uid

print(*(f"{p} {version(p)}" for p in ("highdicom", "SimpleITK")))
same = {"SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
series = [ct(np.full((8, 8), 1024 + z, np.uint16), ImagePositionPatient=[0, 0, z], InstanceNumber=z + 1, **same)
          for z in range(4)]
for z, dataset in enumerate(series):
    dataset.save_as(f"{z}.dcm", enforce_file_format=True)
ours = [hd.get_volume_from_series(order).array[:, 0, 0].tolist() for order in (series, series[::-1])]
itk = sitk.GetArrayFromImage(sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(".")))[:, 0, 0].tolist()
print("believed: z = 0 1 2 3 in both; seen: highdicom", ours, "SimpleITK", itk)
raise SystemExit(not (ours == [[3, 2, 1, 0]] * 2 and itk == [0, 1, 2, 3]))
PY
