#!/usr/bin/env bash
# Believed: frames that are asked for as application/octet-stream come as raw pixels, as PS3.18 8.7.3 has it, or are refused.
# True:     of a JPEG-LS file Orthanc sends raw pixels; of an HTJ2K file, which it cannot decode, it sends the compressed stream
#           under the same type, with 200. The instance as a whole is right when asked for with transfer-syntax=*.
# Version:  Orthanc 1.10.1 (Debian 12), orthanc-dicomweb 1.7, imagecodecs 2026.3.6
# Matters:  376 bytes of a codestream, taken for pixels, are cut-off noise; we pull instances and look at what arrived.
source "$(dirname "$0")/preamble"
source "$FINDINGS/orthanc"
packages pydicom==3.0.2 pyjpegls==1.5.1 imagecodecs==2026.3.6 requests==2.34.2 numpy==2.4.6
serve
venv/bin/python -W ignore - <<'PY'
import io
import os

import imagecodecs
import numpy as np
import requests
from ct import ct
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2KLossless, JPEGLSLossless

pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
jpegls, htj2k = ct(pixels), ct(pixels)
jpegls.compress(JPEGLSLossless, generate_instance_uid=False)
htj2k.file_meta.TransferSyntaxUID = HTJ2KLossless
htj2k.PixelData = encapsulate([imagecodecs.htj2k_encode(pixels, reversible=True)])
htj2k["PixelData"].VR = "OB"

def frame(file):
    """Status and type of the first frame, and whether it is the pixels or a codestream."""
    stream = io.BytesIO()
    file.save_as(stream, enforce_file_format=True)
    requests.post(f"{os.environ['ORTHANC']}/instances", data=stream.getvalue()).raise_for_status()
    place = f"studies/{file.StudyInstanceUID}/series/{file.SeriesInstanceUID}/instances/{file.SOPInstanceUID}/frames/1"
    answer = requests.get(f"{os.environ['ORTHANC']}/dicom-web/{place}",
                          headers={"Accept": 'multipart/related; type="application/octet-stream"'})
    return answer.status_code, pixels.tobytes() in answer.content, b"\xff\x4f\xff\x51" in answer.content

print("Orthanc", requests.get(f"{os.environ['ORTHANC']}/system").json()["Version"])
seen = frame(jpegls), frame(htj2k)
print("(status, raw pixels, codestream): believed (200, True, False) or refused; seen JPEG-LS", seen[0], "HTJ2K", seen[1])
raise SystemExit(not (seen == ((200, True, False), (200, False, True))))
PY
