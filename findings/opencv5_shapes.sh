#!/usr/bin/env bash
# Believed: cv2.calcHist gives a column (256, 1) and cv2.findNonZero a list of points (N, 1, 2), as they always have.
# True:     under OpenCV 5 these are (256,) and (N, 2); findContours and goodFeaturesToTrack stayed (N, 1, 2).
# Version:  opencv-python-headless 5.0.0.93 and 4.13.0.92
# Matters:  hist[:, 0] and points[:, 0] of the old shape raise, or take the x of every point for the point.
source "$(dirname "$0")/preamble"
for v in 5.0.0.93 4.13.0.92; do
packages "opencv-python-headless==$v" numpy==2.4.6
venv/bin/python - <<'PY'
import cv2
import numpy as np

picture = np.zeros((8, 8), np.uint8)
picture[2:4, 2:4] = 255
contour = cv2.findContours(picture, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0][0]
seen = (cv2.calcHist([picture], [0], None, [256], [0, 256]).shape, cv2.findNonZero(picture).shape, contour.shape)
print("opencv", cv2.__version__, "calcHist, findNonZero, contour:", seen)
new = cv2.__version__.startswith("5")
raise SystemExit(not (seen == (((256,), (4, 2), (4, 1, 2)) if new else ((256, 1), (4, 1, 2), (4, 1, 2)))))
PY
rm -rf venv
done
