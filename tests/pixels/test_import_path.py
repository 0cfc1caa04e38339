"""No child process imports what lies in the working directory."""

import ast
import os
import subprocess
import sys

import pytest

from lungct.pixels.reader import list_import_folders
from lungct_tools import ROOT, TOOLS
from lungct_tools.commandline import COMMANDS, NEEDS
from lungct_tools.packages.lacking import explain_lacking
from lungct_tools.server.instance import Instance
from lungct_tools.server.serve import environment
from tests.support.help import show_help

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


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_imports_what_lies_in_the_working_directory(command):
    lacking = (command in NEEDS and explain_lacking(NEEDS[command])) or ""
    shown = show_help(command)
    assert (shown.returncode, lacking in shown.stderr) == (2 if lacking else 0, True), shown.stderr
    assert not shown.strayed


def test_programs_that_are_started_as_modules_leave_the_working_directory_out():
    """Of what starts a Python with -m, each names -P before it: the page, pip, venv, the bill of materials, peers."""
    for path in [*(ROOT / "scripts").rglob("*.py"), *(ROOT / "handler").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.List | ast.Tuple):
                words = [each.value for each in node.elts if isinstance(each, ast.Constant)]
                assert "-m" not in words or "-P" in words[: words.index("-m")], f"{path}:{node.lineno}"


def test_the_server_s_launcher_gets_absolute_folders_only(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "relative", str(tmp_path)]))
    folders = environment(Instance(tmp_path))["PYTHONPATH"].split(os.pathsep)
    assert folders == [str(TOOLS / "standin"), str(tmp_path)]


def test_the_child_gets_absolute_folders_only(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "relative", str(tmp_path), "."]))
    assert list_import_folders().split(os.pathsep) == [str(ROOT / "handler"), str(tmp_path)]
