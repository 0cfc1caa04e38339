"""The dependency direction that DESIGN promises, read from the imports."""

import ast
import subprocess
import sys

import pytest

from scripts.instance import ROOT

PACKAGE = ROOT / "handler" / "lungct"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
# a module may import only from the layers before its own, and from its own
LAYERS = [
    {"errors", "settings", "window", "weights", "agreement", "calibration"},
    {"network", "preprocess", "oip", "rendering", "formats", "wire", "body"},
    {"render", "gradcam", "gate", "raster", "pixeldata"},
    {"contract", "dicom", "acceptance"},
    {"model"},
    {"engine", "graph", "openvino_engine", "torch_engine", "nursery", "reader"},
    {"image", "request"},
    {"result", "arrivals"},
    {"pipeline"},
]


def test_every_module_has_its_layer():
    assert set().union(*LAYERS) == set(MODULES)


def imports(path):
    """Every module that a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            if node.module == "lungct":
                yield from (f"lungct.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("name", MODULES)
def test_the_core_knows_neither_torchserve_nor_the_scripts(name):
    roots = {module.split(".")[0] for module in imports(PACKAGE / f"{name}.py")}
    assert not roots & {"ts", "scripts", "tests", "requests", "streamlit"}


@pytest.mark.parametrize("name", MODULES)
def test_dependencies_point_one_way(name):
    height = next(i for i, layer in enumerate(LAYERS) if name in layer)
    above = set().union(*LAYERS[height + 1 :])
    used = {module.split(".")[1] for module in imports(PACKAGE / f"{name}.py") if module.startswith("lungct.")}
    assert not used & above


def test_only_the_handler_knows_torchserve():
    for path in (ROOT / "scripts").rglob("*.py"):
        assert "ts" not in {module.split(".")[0] for module in imports(path)}, path


def test_no_module_is_named_after_nothing():
    names = {path.stem for folder in ("handler", "scripts") for path in (ROOT / folder).rglob("*.py")}
    assert not names & {"utils", "helpers", "common", "misc"}


def test_the_core_imports_in_a_fresh_process_without_torchserve_torch_openvino_or_the_grad_cam_package():
    code = (
        "import sys, lungct.pipeline; "
        "heavy = {'ts', 'torch', 'openvino', 'pytorch_grad_cam', 'matplotlib', 'sklearn'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_line_starts_without_loading_torch():
    code = "import sys, scripts.predict, scripts.health, scripts.scale; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
