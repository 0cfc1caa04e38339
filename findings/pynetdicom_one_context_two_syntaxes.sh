#!/usr/bin/env bash
# Believed: one presentation context with two transfer syntaxes lets the sender use either.
# True:     the peer picks one by the order of its own list, not by the sender's, and the other can then not be sent; two
#           contexts of one syntax each let both through. The ready-made list of storage classes proposes no compressed
#           syntax, holds neither Parametric Map nor Label Map, and the full list has more than 128 entries.
# Version:  pynetdicom 3.0.4, pydicom 3.0.2
# Matters:  a JPEG-LS slice and our raw result in one association: the second fails at the site that prefers the first.
source "$(dirname "$0")/preamble"
packages pynetdicom==3.0.4 pydicom==3.0.2 pyjpegls==1.5.1 numpy==2.4.6
venv/bin/python - <<'PY'
from importlib.metadata import version

import numpy as np
from ct import ct
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless, ParametricMapStorage
from pynetdicom import AE, AllStoragePresentationContexts, StoragePresentationContexts, evt

print(*(f"{p} {version(p)}" for p in ("pynetdicom", "pydicom")))
peer = AE("PEER")
peer.add_supported_context(CTImageStorage, [JPEGLSLossless, ExplicitVRLittleEndian])
server = peer.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda event: 0)])

def sent(*contexts):
    sender = AE("SENDER")
    for syntaxes in contexts:
        sender.add_requested_context(CTImageStorage, syntaxes)
    link = sender.associate(*server.server_address)
    raw, packed = (ct(np.zeros((8, 8), np.uint16)) for _ in "12")
    packed.compress(JPEGLSLossless)
    told = []
    for dataset in (raw, packed):
        try:
            told.append(link.send_c_store(dataset).Status == 0)
        except ValueError:
            told.append(False)
    link.release()
    return told

one = sent([ExplicitVRLittleEndian, JPEGLSLossless])
two = sent(ExplicitVRLittleEndian, JPEGLSLossless)
server.shutdown()
ready = {context.abstract_syntax for context in StoragePresentationContexts}
print("raw, JPEG-LS: believed both; seen in one context", one, "in two", two, "- Parametric Map listed:",
      ParametricMapStorage in ready, "- full list", len(AllStoragePresentationContexts))
raise SystemExit(not (one == [False, True] and two == [True, True] and ParametricMapStorage not in ready
                      and len(AllStoragePresentationContexts) > 128))
PY
