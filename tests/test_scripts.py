"""Commands as a user runs them: help, exit codes, sentences. What needs a server is tested in files of its own."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from lungct.model.folder import load_model_folder
from lungct_tools import ROOT, setup
from lungct_tools.commandline import COMMANDS, compose
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.processes import read_birth
from lungct_tools.server.runfolder import SOCKET_PATH_LIMIT, make_temp
from lungct_tools.server.seal import write_seal
from tests.conftest import MODEL, run_script
from tests.support.help import outside_make, show_help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    shown = show_help(name)
    assert shown.returncode == 0
    assert len(shown.stdout) > 200


def test_make_alone_lists_every_target():
    shown = subprocess.run(["make"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test", "serve", "stop", "scale", "predict"} <= set(targets)
    assert all(re.search(rf"^{target} ", shown, re.MULTILINE) for target in targets)


def test_a_key_can_be_made_in_a_fresh_clone():
    make = ("make", "--dry-run", "key", "NAME=x")
    steps = subprocess.run(make, env=outside_make(), capture_output=True, text=True, check=True, cwd=ROOT)
    assert [shlex.split(step)[1] for step in steps.stdout.splitlines()] == ["scripts/setup.py", "key"]


def test_names_with_blanks_brackets_and_quotes_reach_the_commands_as_they_are():
    names = {"IN": "Normal case (26), it's.jpg", "OUT": "my scores", "MAR": "new model/lung_ct.mar"}
    make = ("make", "--dry-run", "predict", "score", "update", *(f"{key}={name}" for key, name in names.items()))
    done = subprocess.run(make, env=outside_make(), capture_output=True, text=True, check=True, cwd=ROOT)
    steps = [step.partition(" ||")[0] for step in done.stdout.splitlines() if "setup" not in step]
    words = [shlex.split(step)[2:] for step in steps]
    assert words == [[names["IN"]], [names["IN"], names["OUT"]], [names["MAR"]]]


def test_refused_files_are_no_error_of_make_and_a_server_that_is_not_there_is_one(tmp_path):
    (tmp_path / "lungct").write_text("#!/bin/sh\nexit $CODE\n")
    (tmp_path / "lungct").chmod(0o755)
    for code, ended in ((0, 0), (1, 0), (2, 2), (3, 2)):
        for target in ("predict", "score"):
            command = ["make", target, f"LUNGCT={tmp_path / 'lungct'}"]
            environment = {**outside_make(), "CODE": str(code)}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
            assert done.returncode == ended
            assert ("***" in done.stderr) == bool(ended)


def test_every_target_and_message_follows_the_run_folder_and_the_ports_that_the_environment_names(tmp_path):
    ours = {**outside_make(), "LUNG_CT_RUN": str(tmp_path), "LUNG_CT_PORTS": "9 10 11 12 13"}
    dry = subprocess.run(["make", "--dry-run", "predict", "score"], env=ours, capture_output=True, text=True, cwd=ROOT)
    assert ".run" not in dry.stdout
    for name, *arguments in (("predict", ROOT / "docs" / "overlay.png"), ("scale", 1), ("health", "live"), ("status",)):
        command = compose(name, *arguments)
        done = subprocess.run(command, env=ours, capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode
        assert ":8080" not in done.stdout + done.stderr


@pytest.mark.parametrize("target", ["audit", "train", "quantize", "evaluate"])
def test_a_target_that_needs_data_asks_for_it_in_a_sentence(target):
    done = subprocess.run(["make", "--dry-run", target], env=outside_make(), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert re.search(rf"Where is the data\? make {target} ARGS='.*--data DIR", done.stderr)
    assert f"lungct {target}" not in done.stdout


def test_serve_without_an_archive_says_how_to_build_it(tmp_path):
    done = run_script("serve", "--run", tmp_path / "run", "--store", tmp_path)
    assert (done.returncode, "make archive" in done.stderr) == (2, True)


def test_serve_on_a_busy_port_names_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "lung_ct.mar", "w"):
        pass
    write_seal(tmp_path / "lung_ct.mar")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run_script("serve", "--run", tmp_path / "run", "--store", tmp_path, "--ports", port, *find_ports(4))
    assert done.returncode == 2
    assert f"port {port} is in use" in done.stderr


@pytest.fixture
def beside_a_server(tmp_path, run_here):
    """`serve` beside something that passes for a server: exit code and standard error."""
    (tmp_path / "lung_ct.mar").touch()
    command = [sys.executable, "-c", "print(flush=True); input()", "torchserve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        process.stdout.readline()  # the kernel tells its name only some time after Popen returns
        options = ("--run", tmp_path, "--store", tmp_path, "--ports", *range(9, 14), "--set=a=1")
        Instance(tmp_path, pid=process.pid, birth=read_birth(process.pid), options=tuple(map(str, options))).write()
        yield lambda *others: run_here("serve", *options, *others)
        process.terminate()


def test_serve_again_is_no_error_while_the_same_is_served(beside_a_server):
    code, said = beside_a_server()
    assert (code, "like this already runs" in said) == (0, True)


@pytest.mark.parametrize("others", [["--set", "b=2"], ["--ports", *range(19, 24)], ["--store", "OTHER"]])
def test_serve_with_other_options_says_that_they_are_not_those_of_the_server_that_runs(
    others, beside_a_server, tmp_path
):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "lung_ct.mar").touch()
    code, said = beside_a_server(*(tmp_path / "other" if word == "OTHER" else word for word in others))
    assert code == 2
    assert "with other options already runs" in said
    assert "make stop" in said


def test_serve_with_a_newer_archive_says_that_it_is_not_served_yet(beside_a_server, tmp_path):
    later = time.time() + 10
    os.utime(tmp_path / "lung_ct.mar", (later, later))
    code, said = beside_a_server()
    assert (code, "as it was before already runs" in said) == (2, True)


def test_stop_without_a_server_is_no_error(tmp_path):
    assert run_script("stop", "--run", tmp_path).returncode == 0


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


def test_one_version_and_one_spelling_everywhere():
    contract = load_model_folder(MODEL).contract
    assert f"load_models={contract.name}={contract.name}.mar" in (ROOT / "config" / "config.properties").read_text()
    metrics = yaml.safe_load((ROOT / "config" / "metrics.yaml").read_text())
    assert all(m["name"].startswith("lung_ct_") for m in metrics["model_metrics"]["counter"])
    assert re.search(r"^## (\d.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == contract.version


def test_what_stands_beside_the_model_is_about_this_version_of_it():
    contract = load_model_folder(MODEL).contract
    card = (MODEL / "MODEL_CARD.md").read_text()
    assert card.partition("\n")[0] == f"# Model card: {contract.name} {contract.version}"
    assert set(re.findall(r"lungct train .*--version (\S+)", card)) == {contract.version}
    evaluated = json.loads((MODEL / "evaluation.json").read_text())
    assert evaluated["weights_sha256"] == contract.weights_sha256
    sample = re.search(r"^```json\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)[1]
    assert json.loads(sample)["model"]["version"] == contract.version


def test_package_and_images_have_one_version_which_begins_with_the_models():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version.rpartition(".")[0] == load_model_folder(MODEL).contract.version
    places = (
        "Containerfile",
        "compose.yaml",
        "scripts/server/image.py",
        "docs/operations.md",
        "README.md",
        "config/**/*.yaml",
    )
    tags = {}
    for path in [path for place in places for path in ROOT.glob(place)]:
        found = re.findall(r"(?:\blung-ct:|newTag: )(\d[\w.]*)", path.read_text())
        tags |= {str(path.relative_to(ROOT)): set(found)} if found else {}
    assert tags.keys() >= {"Containerfile", "compose.yaml", "scripts/server/image.py", "docs/operations.md"}
    assert sum(name.endswith("kustomization.yaml") for name in tags) == 5
    assert {name: found for name, found in tags.items() if found != {version}} == {}


def test_every_variable_in_the_table_of_settings_is_read_somewhere():
    places = ("handler/*.py", "scripts/**/*.py", "tests/conftest.py", "compose.yaml")
    code = "".join(path.read_text() for place in places for path in ROOT.glob(place))
    named = re.findall(r"^\| `(LUNG_CT_\w+)` \|", (ROOT / "docs" / "configuration.md").read_text(), re.MULTILINE)
    assert len(named) > 4
    assert [name for name in named if name not in code] == []
