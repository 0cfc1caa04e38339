#!/usr/bin/env bash
# Believed: st.cache_data tells two arrays apart by their contents.
# True:     of an array over half a million values, or a picture or table of that kind, it hashes a sample, drawn anew in each
#           process: most volumes that differ from one seen before in a small nodule get that one's cached result.
# Version:  streamlit 1.67.0, numpy 2.4.6
# Matters:  a page that caches by volume shows the last patient's answer: key the cache by the file's sha256.
source "$(dirname "$0")/preamble"
packages streamlit==1.67.0 numpy==2.4.6
venv/bin/python - 2>/dev/null <<'PY'
from importlib.metadata import version

import numpy as np
import streamlit as st

print(*(f"{p} {version(p)}" for p in ("streamlit", "numpy")))

@st.cache_data
def brightest(volume):
    return int(np.asarray(volume).max())

def stale(shape):
    """How many of 20 arrays with one 3 x 3 nodule each are answered as the empty one."""
    empty = np.zeros(shape, np.int16)
    assert brightest(empty) == 0
    answers = []
    for at in range(20, 420, 20):
        nodule = empty.copy()
        nodule[..., at : at + 3, at : at + 3][:1] = 100
        answers.append(brightest(nodule))
    return answers.count(0)

volumes, slices = stale((8, 512, 512)), stale((1, 512, 512))
print("believed: 0 of 20 answered as the empty one; seen:", volumes, "of the volumes,", slices, "of the slices")
raise SystemExit(not (volumes >= 3 and slices == 0))
PY
