"""The dependency direction that DESIGN promises, read from the imports."""

import ast
import subprocess
import sys
import tomllib

import pytest

from lungct_tools import ROOT, TOOLS

PACKAGE = ROOT / "handler" / "lungct"
FILES = sorted(PACKAGE.rglob("*.py"))
# Not what `pip wheel ./scripts/client` leaves there.
SCRIPTS = sorted(path for path in TOOLS.rglob("*.py") if TOOLS / "client" / "build" not in path.parents)
# What each room may import. "top" is the ground that all stand on; pipeline, reception and arrivals are the roof;
# serving is what fronts stand on it.
GROUND = {"lungct", "errors", "settings", "window"}
ARROWS = {
    "pixels": set(),
    "model": set(),
    "gate": {"model"},
    "heatmap": {"model"},
    "engines": {"model"},
    "traces": set(),
    "exchange": {"pixels", "model", "gate", "heatmap"},
    "arrivals": {"pixels", "gate", "exchange"},
    "reception": {"pixels", "model", "heatmap", "exchange"},
    "pipeline": {"pixels", "model", "gate", "heatmap", "engines", "exchange", "arrivals", "reception"},
    "serving": {"pixels", "model", "engines", "exchange", "traces", "pipeline"},
}
HEAVY = {"lungct.model.network"}  # loads torch, so its room's door does not hand it on


def name_room(path):
    """The room of a file, or a file's own name where it stands in none."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "lungct" if parts == ("__init__",) else parts[0]


def imports(path):
    """Every module that a file imports, at its top or inside a function; a room's modules by their full names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            yield node.module
            if node.module == "lungct":
                yield from (f"lungct.{alias.name}" for alias in node.names if alias.name != "NOTICE")


def test_every_room_has_its_arrows_and_few_files_lie_flat():
    assert {name_room(path) for path in FILES} == ARROWS.keys() | GROUND
    assert len(list(PACKAGE.glob("*.py"))) <= 8


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_knows_neither_torchserve_nor_the_scripts(path):
    roots = {module.split(".")[0] for module in imports(path)}
    assert not roots & {"ts", "scripts", "tests", "requests", "streamlit"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_what_its_room_may_and_other_rooms_by_their_doors(path):
    room = name_room(path)
    used = {module for module in imports(path) if module.startswith("lungct.")}
    others = {module for module in used if module.split(".")[1] not in {room, *GROUND}}
    assert {module.split(".")[1] for module in others} <= ARROWS.get(room, set())
    assert {module for module in others if module.count(".") > 1} <= HEAVY


@pytest.mark.parametrize("room", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_a_room_says_what_enters_and_what_leaves_and_hands_on_what_others_use(room):
    door = ast.parse((PACKAGE / room / "__init__.py").read_text())
    said = ast.get_docstring(door)
    assert said.startswith("In go")
    assert "out come" in said
    handed = {element.value for node in door.body if isinstance(node, ast.Assign) for element in node.value.elts}
    taken = {
        alias.name
        for path in [*FILES, ROOT / "handler" / "lung_ct_handler.py"]
        if room not in path.parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == f"lungct.{room}"
        for alias in node.names
    }
    assert taken <= handed


TOOL_ARROWS = {
    "client": set(),
    "documents": set(),
    "packages": set(),
    "phantom": set(),
    "server": {"client", "packages", "phantom"},
    "proxy": {"client", "server"},
    "operate": {"client", "phantom", "server", "proxy", "pacs"},
    "folder": {"client", "packages", "server"},
    "bulk": {"client", "packages", "server", "folder"},
    "dicomout": {"folder"},
    "pacs": {"client", "server", "folder", "dicomout"},
    "page": {"client", "phantom", "server", "folder"},
    "bench": {"client", "phantom", "documents", "server"},
    "modelling": {"phantom", "documents"},
    "standin": set(),
}


def tool_rooms(path):
    """The rooms of the tools that a file imports; "" for what lies flat in scripts/."""
    for module in imports(path):
        package, _, rest = module.partition(".")
        if package == "lungct_client":
            yield "client"
        elif package == "lungct_tools":
            yield rest.partition(".")[0] if (TOOLS / rest.partition(".")[0]).is_dir() else ""


@pytest.mark.parametrize("room", sorted(path.name for path in TOOLS.iterdir() if path.is_dir() and path.name[0] != "_"))
def test_no_arrow_between_the_rooms_of_the_tools_runs_back_up(room):
    for path in (TOOLS / room).rglob("*.py"):
        assert set(tool_rooms(path)) - {room, ""} <= TOOL_ARROWS[room], path


def test_few_files_lie_flat_among_the_tools_and_the_client_knows_nothing_of_ours():
    assert len(list(TOOLS.glob("*.py"))) <= 4
    for path in (TOOLS / "client").glob("*.py"):
        assert not {module.split(".")[0] for module in imports(path)} & {"lungct", "lungct_tools"}


def test_nothing_named_scripts_or_tests_is_installed():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert {name.partition(".")[0] for name in packages} == {"lungct", "lungct_client", "lungct_tools"}
    folders = {".".join(path.parent.relative_to(PACKAGE.parent).parts) for path in PACKAGE.rglob("*.py")}
    tools = {".".join(("lungct_tools", *path.parent.relative_to(TOOLS).parts)) for path in SCRIPTS}
    assert set(packages) == folders | {"lungct_client"} | (tools - {"lungct_tools.client", "lungct_tools.standin"})


def test_only_the_handler_knows_torchserve():
    for path in SCRIPTS:
        assert "ts" not in {module.split(".")[0] for module in imports(path)}, path


def test_no_module_is_named_after_nothing():
    names = {path.stem for path in (*(ROOT / "handler").rglob("*.py"), *SCRIPTS)}
    assert not names & {"utils", "helpers", "common", "misc"}


def test_the_core_imports_in_a_fresh_process_without_torchserve_torch_openvino_or_the_grad_cam_package():
    code = (
        "import sys, lungct.pipeline; "
        "heavy = {'ts', 'torch', 'openvino', 'pytorch_grad_cam', 'sklearn', 'pydicom'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_line_starts_without_loading_torch():
    code = "import sys, lungct_tools.folder.predict, lungct_tools.server.scale; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
