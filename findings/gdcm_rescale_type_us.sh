#!/usr/bin/env bash
# Believed: a change of transfer syntax by GDCM leaves every element but the pixels as it was.
# True:     to a CT slice without Rescale Type, which PS3.3 C.8.2.1 then takes as HU, it adds Rescale Type "US", unspecified.
# Version:  python-gdcm 3.2.6, pydicom 3.0.2
# Matters:  who reads HU only where the file says so refuses every slice that has passed through such a converter.
source "$(dirname "$0")/preamble"
packages python-gdcm==3.2.6 pydicom==3.0.2 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import gdcm
import numpy as np
from ct import ct
from pydicom import dcmread

print(*(f"{p} {version(p)}" for p in ("python-gdcm", "pydicom")))
ct(np.arange(64, dtype=np.uint16).reshape(8, 8)).save_as("a.dcm", enforce_file_format=True)
reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
reader.SetFileName("a.dcm")
reader.Read()
change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
change.SetInput(reader.GetImage())
change.Change()
writer.SetFileName("b.dcm")
writer.SetFile(reader.GetFile())
writer.SetImage(change.GetOutput())
writer.Write()
before, after = dcmread("a.dcm"), dcmread("b.dcm")
added = {element.keyword: element.value for element in after if element.tag not in before}
print("believed: nothing added; seen", added)
raise SystemExit(not (added == {"RescaleType": "US"}))
PY
