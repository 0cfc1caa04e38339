#!/usr/bin/env bash
# Believed: a Segmentation written by highdicom lies in the same place for every reader, or is refused.
# True:     highdicom drops frames without a segment by default; SimpleITK then stacks those left one after the other,
#           away from their own positions, with spacing 1 instead of the file's, without a word. With omit_empty_frames=False
#           it is right. Values are 0/1 in pydicom, 0/255 in SimpleITK; a label map is not read at all.
# Version:  highdicom 0.28.2, SimpleITK 2.5.7, pydicom 3.0.2
# Matters:  our region would be laid centimetres from the nodule in one of the most used readers.
source "$(dirname "$0")/preamble"
packages highdicom==0.28.2 SimpleITK==2.5.7 pydicom==3.0.2 numpy==2.4.6
venv/bin/python -W ignore - 2>/dev/null <<'PY'
from importlib.metadata import version

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from ct import ct
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

print(*(f"{p} {version(p)}" for p in ("highdicom", "SimpleITK", "pydicom")))
same = {"SeriesInstanceUID": generate_uid(), "StudyInstanceUID": generate_uid(), "FrameOfReferenceUID": generate_uid()}
series = [ct(np.zeros((16, 24), np.uint16), ImagePositionPatient=[0, 0, z], InstanceNumber=z + 1, **same) for z in range(5)]
mask = np.zeros((5, 16, 24), np.uint8)
mask[[0, 1, 4], 2:5, 2:5] = 1
by = hd.AlgorithmIdentificationSequence("made-up", codes.cid7162.ArtificialIntelligence, "1")
what = hd.seg.SegmentDescription(1, "a", codes.SCT.Tissue, codes.SCT.Tissue, hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC, by)

def written(kind="BINARY", **how):
    file = hd.seg.Segmentation(series, mask, kind, [what], generate_uid(), 2, generate_uid(), 1, "m", "m", "1", "1", **how)
    file.save_as("seg.dcm")
    own = [float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) for frame in file.PerFrameFunctionalGroupsSequence]
    try:
        image = sitk.ReadImage("seg.dcm")
    except RuntimeError:
        return own, None, None, None
    seen = [image.TransformIndexToPhysicalPoint((0, 0, k))[2] for k in range(image.GetDepth())]
    return own, seen, image.GetSpacing()[0], int(sitk.GetArrayViewFromImage(image).max())

default, whole, labels = written(), written(omit_empty_frames=False), written("LABELMAP")
print("believed: SimpleITK's z is the frames' own, spacing 0.7, values 0/1; seen (own z, z, spacing, highest value):")
print(" default", default, "\n omit_empty_frames=False", whole, "\n label map", labels)
raise SystemExit(not (default == ([4.0, 1.0, 0.0], [4.0, 5.0, 6.0], 1.0, 255)
                      and whole[0] == whole[1] and whole[2:] == (0.7, 255) and labels[1] is None))
PY
