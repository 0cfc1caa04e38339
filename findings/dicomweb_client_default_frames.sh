#!/usr/bin/env bash
# Believed: dicomweb-client's retrieve_instance_frames() with nothing said gets the frames that the server has.
# True:     Orthanc answers its default Accept header with 400; with media_types=("application/octet-stream",) it sends raw
#           pixels, and with ("application/octet-stream", "*") the frames in their own syntax.
# Version:  dicomweb-client 0.61.2, Orthanc 1.10.1 (Debian 12), orthanc-dicomweb 1.7
# Matters:  the two most used free parts of DICOMweb do not meet by default; whole instances are fetched without this.
source "$(dirname "$0")/preamble"
source "$FINDINGS/orthanc"
packages dicomweb-client==0.61.2 pydicom==3.0.2 pyjpegls==1.5.1 requests==2.34.2 numpy==2.4.6
serve
venv/bin/python -W ignore - <<'PY'
import io
import os
from importlib.metadata import version

import numpy as np
import requests
from ct import ct
from dicomweb_client.api import DICOMwebClient
from pydicom.uid import JPEGLSLossless

pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
file, stream = ct(pixels), io.BytesIO()
file.compress(JPEGLSLossless, generate_instance_uid=False)
file.save_as(stream, enforce_file_format=True)
requests.post(f"{os.environ['ORTHANC']}/instances", data=stream.getvalue()).raise_for_status()
client = DICOMwebClient(f"{os.environ['ORTHANC']}/dicom-web")

def frames(**how):
    try:
        return len(client.retrieve_instance_frames(file.StudyInstanceUID, file.SeriesInstanceUID, file.SOPInstanceUID, [1], **how)[0])
    except requests.HTTPError as error:
        return f"HTTP {error.response.status_code}"

default, raw = frames(), frames(media_types=("application/octet-stream",))
own = frames(media_types=(("application/octet-stream", "*"),))
print("dicomweb-client", version("dicomweb-client"), "Orthanc", requests.get(f"{os.environ['ORTHANC']}/system").json()["Version"])
print("bytes of a frame; believed the same as one of the others by default; seen", default, "raw", raw, "own syntax", own)
raise SystemExit(not (default == "HTTP 400" and raw == pixels.nbytes and own < raw))
PY
