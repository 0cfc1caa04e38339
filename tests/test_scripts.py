"""Scripts as a user runs them: help, exit codes, sentences. What needs a server is tested in files of its own."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
import torchvision
import yaml
from lungct.model import load_model_folder

from scripts import setup
from scripts.archive import is_current
from scripts.instance import ROOT, SOCKET_PATH_LIMIT, find_ports, make_temp
from scripts.predict import make_table
from tests.conftest import MODEL, run_script, show_help

COMMANDS = [
    path.stem for path in sorted((ROOT / "scripts").glob("*.py")) if 'if __name__ == "__main__"' in path.read_text()
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_script_explains_itself(name):
    shown = show_help(name)
    assert shown.returncode == 0
    assert len(shown.stdout) > 200


def test_make_alone_lists_every_target():
    shown = subprocess.run(["make"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test", "serve", "stop", "scale", "predict"} <= set(targets)
    assert all(re.search(rf"^{target} ", shown, re.MULTILINE) for target in targets)


def test_a_key_can_be_made_in_a_fresh_clone():
    steps = subprocess.run(["make", "--dry-run", "key", "NAME=x"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert re.findall(r"scripts/(\w+)\.py", steps.stdout) == ["setup", "keys"]


@pytest.fixture
def checkpoint(tmp_path):
    """A state_dict as the original project saves it."""
    torch.manual_seed(5)
    network = torchvision.models.resnet18(num_classes=3)
    torch.save(network.state_dict(), tmp_path / "lung_cancer_model_40.pth")
    return tmp_path / "lung_cancer_model_40.pth"


def test_a_torchvision_checkpoint_becomes_a_model_folder_and_an_archive(checkpoint, tmp_path):
    out = tmp_path / "mine"
    done = run_script("import_checkpoint", checkpoint, "--out", out)
    assert done.returncode == 0, done.stderr
    folder = load_model_folder(out)
    assert folder.contract.classes == ("Benign", "Malignant", "Normal")
    assert folder.contract.geometry == "squash"
    original = torch.load(checkpoint, weights_only=True)
    assert torch.allclose(folder.network.conv1.weight, original["conv1.weight"], atol=1e-3)
    packed = run_script("archive", "--model", out, "--out", tmp_path / "store")
    assert packed.returncode == 0, packed.stderr
    assert (tmp_path / "store" / "lung_ct.mar").is_file()


def test_other_classes_may_be_named(checkpoint, tmp_path, run_here):
    command = ("import_checkpoint", checkpoint, "--out", tmp_path / "m", "--classes")
    assert run_here(*command, "A, B ,C")[0] == 0
    assert load_model_folder(tmp_path / "m").contract.classes == ("A", "B", "C")
    code, said = run_here(*command, "A,B")
    assert (code, "--classes" in said) == (1, True)


class Planted:
    """Pickles into a command; loading it would leave a trace."""

    def __reduce__(self):
        return (print, ("code ran",))


@pytest.mark.parametrize("kind", ["whole model", "code", "text", "other network", "missing", "list"])
def test_anything_else_is_refused_in_a_sentence_and_runs_no_code(kind, tmp_path):
    path = tmp_path / "file.pth"
    if kind == "whole model":
        torch.save(torchvision.models.resnet18(num_classes=3), path)
    elif kind == "code":
        torch.save(Planted(), path)
    elif kind == "text":
        path.write_text("no checkpoint")
    elif kind == "other network":
        torch.save(torch.nn.Linear(2, 3).state_dict(), path)
    elif kind == "list":
        torch.save([torch.zeros(1)], path)
    done = run_script("import_checkpoint", path, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.startswith("import: ")
    assert "Traceback" not in done.stderr
    assert "code ran" not in done.stdout
    assert not (tmp_path / "out").exists()


def test_the_archive_holds_handler_core_model_and_settings_and_nothing_else(tmp_path):
    assert run_script("archive", "--out", tmp_path).returncode == 0
    with zipfile.ZipFile(tmp_path / "lung_ct.mar") as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
    core = {f"lungct/{path.name}" for path in (ROOT / "handler" / "lungct").glob("*.py")}
    files = {"model.json", *load_model_folder(MODEL).contract.files}
    assert {n for n in names if not n.endswith("/")} == core | files | {
        "lung_ct_handler.py", "model-config.yaml", "MAR-INF/MANIFEST.json",
    }  # fmt: skip
    assert manifest["model"]["modelVersion"] == load_model_folder(MODEL).contract.version


def test_the_archive_is_built_again_only_when_something_changed(tmp_path):
    first = run_script("archive", "--out", tmp_path)
    again = run_script("archive", "--out", tmp_path)
    assert ("wrote" in first.stdout, "up to date" in again.stdout) == (True, True)


def test_the_archive_is_built_again_when_it_holds_another_model_or_other_settings(tmp_path):
    settings, other = tmp_path / "model-config.yaml", tmp_path / "other"
    other.mkdir()
    settings.write_text("minWorkers: 1")
    (other / "model.json").write_text("{}")
    with zipfile.ZipFile(tmp_path / "lung_ct.mar", "w") as packed:
        packed.write(MODEL / "model.json", "model.json")
        packed.write(settings, "model-config.yaml")
    later = time.time() + 10
    os.utime(tmp_path / "lung_ct.mar", (later, later))
    assert is_current(tmp_path / "lung_ct.mar", MODEL, settings)
    assert not is_current(tmp_path / "lung_ct.mar", other, settings)
    assert not is_current(tmp_path / "lung_ct.mar", MODEL, ROOT / "config" / "model-config.yaml")


def test_a_damaged_model_folder_is_not_packed(tmp_path):
    for file in MODEL.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "golden.safetensors").write_bytes(b"x")
    done = run_script("archive", "--model", tmp_path, "--out", tmp_path / "store")
    assert (done.returncode, "golden.safetensors" in done.stderr) == (1, True)


def test_serve_without_an_archive_says_how_to_build_it(tmp_path):
    done = run_script("serve", "--run", tmp_path / "run", "--store", tmp_path)
    assert (done.returncode, "make archive" in done.stderr) == (2, True)


def test_serve_on_a_busy_port_names_it(tmp_path):
    (tmp_path / "lung_ct.mar").touch()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run_script("serve", "--run", tmp_path / "run", "--store", tmp_path, "--ports", port, *find_ports(4))
    assert done.returncode == 2
    assert f"port {port} is in use" in done.stderr


def test_stop_without_a_server_is_no_error(tmp_path):
    assert run_script("stop", "--run", tmp_path).returncode == 0


def test_predict_names_what_does_not_exist(tmp_path):
    done = run_script("predict", tmp_path / "nothing.png", "--run", tmp_path)
    assert (done.returncode, "does not exist" in done.stderr) == (2, True)
    (tmp_path / "a.png").touch()
    done = run_script("predict", tmp_path / "a.png", "--overlay", tmp_path / "none" / "o.png", "--run", tmp_path)
    assert (done.returncode, "there is no folder" in done.stderr) == (2, True)


def test_predicts_table_has_the_classes_that_the_model_has():
    shares = {"A": 0.3, "B": 0.7}
    row = {"file": "a.png", "label": "B", "confidence": 0.7, "decision": "report", "probabilities": shares}
    assert [column.header for column in make_table([row]).columns][4:] == ["A", "B"]


def test_sockets_move_out_of_a_run_folder_with_a_long_path(tmp_path):
    deep = tmp_path / ("d" * SOCKET_PATH_LIMIT)
    deep.mkdir()
    temp = Path(make_temp(deep))
    temp.rmdir()
    assert not temp.is_relative_to(tmp_path)


def test_the_lock_pins_every_row_with_hashes_and_names_no_host():
    text = (ROOT / "requirements.lock").read_text()
    blocks = [block for rows in setup.read_lock().values() for block in rows]
    assert len(blocks) > 50
    assert all(re.match(r"[a-z0-9_.-]+(\[[a-z,]+\])?==[^\s]+ ", block) for block in blocks)
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text
    assert "opencv-python==" not in text, "two cv2 wheels overwrite each other"


def test_leaving_out_the_cuda_rows_leaves_no_cuda_library():
    kept = [n for n in setup.read_lock() if n not in setup.TORCH_ROWS and not n.startswith(setup.CUDA_ROWS)]
    assert "numpy" in kept
    assert not [name for name in kept if "cu1" in name or "nvidia" in name or "cuda" in name]


def test_setup_run_again_does_nothing():
    if not setup.STAMP.is_file():
        pytest.fail("the environment was not made by `make setup`")
    done = subprocess.run([sys.executable, "scripts/setup.py"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "up to date" in done.stdout


def test_one_version_and_one_spelling_everywhere():
    contract = load_model_folder(MODEL).contract
    assert f"load_models={contract.name}={contract.name}.mar" in (ROOT / "config" / "config.properties").read_text()
    metrics = yaml.safe_load((ROOT / "config" / "metrics.yaml").read_text())
    assert all(m["name"].startswith("lung_ct_") for m in metrics["model_metrics"]["counter"])
    assert f"## {contract.version}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_variable_in_readmes_table_is_read_somewhere():
    places = ("scripts/**/*.py", "tests/conftest.py", "compose.yaml")
    code = "".join(path.read_text() for place in places for path in ROOT.glob(place))
    named = re.findall(r"^\| `(LUNG_CT_\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(named) > 4
    assert [name for name in named if name not in code] == []
