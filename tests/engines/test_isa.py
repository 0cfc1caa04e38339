"""A processor that can less than OpenVINO lists: which engine serves there, and that its answers are right."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import MODEL

CHOOSE = """
import json, sys
from pathlib import Path
import numpy as np
from lungct.engines import choose_engine
from lungct.model.folder import load_model_folder
folder = load_model_folder(Path(sys.argv[1]))
engine = choose_engine(folder)
found = engine.predict(folder.golden.inputs).logits
print(json.dumps([engine.name, bool((found.argmax(1) == folder.golden.logits.argmax(1)).all())]))
"""


@pytest.mark.parametrize("most", ["AVX2", "AVX512_CORE", "SSE41"])
def test_an_engine_that_answers_rightly_is_chosen_though_kernels_are_missing(most):
    """Under ONEDNN_MAX_CPU_ISA bf16 may still be listed while its kernels are gone: the golden answers decide."""
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": most}
    done = subprocess.run(
        [sys.executable, "-c", CHOOSE, MODEL], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    name, right = json.loads(done.stdout)
    assert name.startswith("openvino-")
    assert right
