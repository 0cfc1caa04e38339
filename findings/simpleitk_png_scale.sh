#!/usr/bin/env bash
# Believed: SimpleITK writes a slice's spacing into a PNG as other programs read it, as into JPEG and TIFF.
# True:     it stands in sCAL, millimetres as metres; Pillow reads pHYs alone, and SimpleITK sCAL alone. Into JPEG
#           go whole dots an inch, 0.8 mm coming back as 0.794; into BMP goes what SimpleITK does not read again.
# Version:  SimpleITK 2.5.7, pillow 13.0.0
# Matters:  a slice whose pixels are not square looks square to who reads the PNG, and to SimpleITK a PNG of others.
source "$(dirname "$0")/preamble"
packages SimpleITK==2.5.7 pillow==13.0.0 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
import SimpleITK as sitk
from PIL import Image, __version__

print("SimpleITK", sitk.Version_VersionString(), "pillow", __version__)
image = sitk.GetImageFromArray(np.zeros((64, 48), np.uint8))
image.SetSpacing((0.8, 1.2))
seen = {}
for kind in ("png", "jpg", "tif", "bmp"):
    sitk.WriteImage(image, f"slice.{kind}")
    spacing = tuple(round(each, 3) for each in sitk.ReadImage(f"slice.{kind}").GetSpacing())
    seen[kind] = Image.open(f"slice.{kind}").info.get("dpi"), spacing
kept = b"sCAL\1.8\0001.2" in open("slice.png", "rb").read()
Image.new("L", (48, 64)).save("other.png", dpi=(31.75, 21.17))
seen["PNG by Pillow"] = tuple(round(each, 3) for each in sitk.ReadImage("other.png").GetSpacing())
print("believed: 0.8 and 1.2 mm everywhere; seen (Pillow's dpi, SimpleITK's spacing), as sCAL in metres:", seen, kept)
raise SystemExit(not (kept and seen["png"] == (None, (0.8, 1.2)) and seen["PNG by Pillow"] == (1.0, 1.0)
                      and seen["jpg"][1] == (0.794, 1.21) and seen["tif"][1] == (0.8, 1.2)
                      and seen["bmp"][1] == (1.0, 1.0)))
PY
