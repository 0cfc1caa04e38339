#!/usr/bin/env bash
# Believed: pydicom refuses or rounds a decimal string (DS) of more than the 16 characters that PS3.5 6.2 allows.
# True:     a float is written with all its digits, "0.3333333333333333" of 18, and nothing is said, neither by the
#           assignment nor by save_as(enforce_file_format=True). pydicom.valuerep.DSfloat(x, auto_format=True) rounds.
# Version:  pydicom 3.0.2
# Matters:  any spacing or slope that was computed makes a file that strict archives refuse.
source "$(dirname "$0")/preamble"
packages pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PY'
import io
import warnings
from importlib.metadata import version

import numpy as np
from ct import ct
from pydicom import dcmread
from pydicom.valuerep import DSfloat

print("pydicom", version("pydicom"))

def written(slope):
    file = io.BytesIO()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ct(np.zeros((2, 2), np.uint16), RescaleSlope=slope).save_as(file, enforce_file_format=True)
        file.seek(0)
        return str(dcmread(file).RescaleSlope), len(told) > 0

plain, formatted = written(1 / 3), written(DSfloat(1 / 3, auto_format=True))
print("believed: refused, or 16 characters; seen", plain[0], len(plain[0]), "warned", plain[1], "- auto_format:", formatted[0])
raise SystemExit(not (len(plain[0]) == 18 and not plain[1] and len(formatted[0]) <= 16))
PY
