"""What an engine may be called, and what the one that serves holds in memory."""

import subprocess
import sys

from lungct.engines import TOLERANCES
from lungct.model.folder import QUANTISED_WEIGHTS
from lungct.settings import ENGINES
from tests.conftest import MODEL

RESIDENT = """
import re, sys
from pathlib import Path
from lungct.engines import choose_engine
from lungct.model import load_model_folder
folder = load_model_folder(Path(sys.argv[1]))
choose_engine(folder, threads=2, wanted="openvino-int8").predict(folder.golden.inputs)
rows = re.findall(r"/int8[.]bin\\nSize: +(\\d+) kB(?:\\n.*){2}\\nRss: +(\\d+) kB", Path("/proc/self/smaps").read_text())
print(*map(sum, zip(*(map(int, row) for row in rows))))
"""


def test_the_engines_that_may_be_asked_for_are_those_that_there_are():
    assert {*ENGINES} == {"auto", *TOLERANCES}


def test_a_worker_does_not_hold_the_weights_file_in_memory_beside_what_it_made_of_it():
    told = subprocess.run([sys.executable, "-c", RESIDENT, MODEL], capture_output=True, text=True, check=True)
    mapped, resident = map(int, told.stdout.split())
    assert mapped * 1024 >= (MODEL / QUANTISED_WEIGHTS).stat().st_size
    assert resident < mapped / 4
