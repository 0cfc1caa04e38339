#!/usr/bin/env bash
# Believed: a pynetdicom SCP that supports CT Image Storage only is handed CT images only.
# True:     the class of a C-STORE is not compared with that of its presentation context: an MR image that comes in a context
#           of CT is handed to the handler as any other, and the handler's Success is sent.
# Version:  pynetdicom 3.0.4, pydicom 3.0.2
# Matters:  what the list of supported contexts seems to keep out is in the archive; a handler has to look at the class itself.
source "$(dirname "$0")/preamble"
packages pynetdicom==3.0.4 pydicom==3.0.2 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
from ct import ct
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, evt

came = []

def store(event):
    came.append(event.request.AffectedSOPClassUID.name)
    return 0

scp, scu = AE(), AE()
scp.add_supported_context(CTImageStorage, ExplicitVRLittleEndian)
server = scp.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
scu.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
link = scu.associate("127.0.0.1", server.server_address[1])
link.accepted_contexts[0].abstract_syntax = MRImageStorage  # what this side believes; the other one accepted CT
file = ct(np.zeros((64, 64), np.uint16))
file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = MRImageStorage
status = link.send_c_store(file).get("Status")
link.release()
scp.shutdown()
print(*(f"{p} {version(p)}" for p in ("pynetdicom", "pydicom")))
print("believed: a failure, and nothing handed over; seen status", status, "handed over", came)
raise SystemExit(not (status == 0 and came == ["MR Image Storage"]))
PY
