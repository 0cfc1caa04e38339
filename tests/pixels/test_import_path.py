"""No child process imports what lies in the working directory."""

import os
import subprocess
import sys

import pytest

from lungct.pixels.reader import list_import_folders
from lungct_tools import ROOT

# A valid picture that is not plain PNG or JPEG goes to the reader.
READ = """
import io
from lungct.pixels import reader
from lungct.pixels.rendering import Terms
from lungct.settings import Settings
from lungct.window import LUNG
from PIL import Image
stream = io.BytesIO()
Image.new('L', (8, 8), 77).save(stream, 'BMP')
found = reader.read(stream.getvalue(), 'BMP', Terms(None, None, LUNG, Settings()))
assert (found.pixels == 77).all()
"""
STARTS = {
    "python -c": ["-c", READ],
    "python -m": ["-m", "timeit", "-n", "1", "-r", "1", READ],
    "standard input": ["-"],
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("given", ["", "relative", f"{ROOT}/handler:"])
def test_a_module_in_the_working_directory_is_not_imported_by_the_reader(tmp_path, start, given):
    for name in ("pydicom", "gdcm", "dl"):  # the nursery looks for these; the parent imports none of them
        (tmp_path / f"{name}.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    environment = {**os.environ, "PYTHONPATH": given} if given else os.environ
    done = subprocess.run(
        [sys.executable, *STARTS[start]],
        cwd=tmp_path,
        env=environment,
        input=READ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


def test_the_child_gets_absolute_folders_only(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "relative", str(tmp_path), "."]))
    assert list_import_folders().split(os.pathsep) == [str(ROOT / "handler"), str(tmp_path)]
