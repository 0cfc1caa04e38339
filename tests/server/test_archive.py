"""What is packed into lung_ct.mar, when it is packed again, and when it is left alone."""

import json
import os
import time
import zipfile
from importlib.util import cache_from_source

import pytest

from lungct.model.folder import load_model_folder
from lungct_tools import ROOT
from lungct_tools.operate.place import put
from lungct_tools.server.archive import holds
from lungct_tools.server.seal import find_seal, write_seal
from tests.conftest import MODEL, run_script


def test_the_archive_holds_handler_core_model_and_settings_and_nothing_else(tmp_path):
    assert run_script("archive", "--out", tmp_path).returncode == 0
    with zipfile.ZipFile(tmp_path / "lung_ct.mar") as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
    core = {str(path.relative_to(ROOT / "handler")) for path in (ROOT / "handler" / "lungct").rglob("*.py")}
    files = {"model.json", *load_model_folder(MODEL).contract.files}
    compiled = {cache_from_source(name) for name in core}  # so that no worker has to
    assert {n for n in names if not n.endswith("/")} == core | compiled | files | {
        "lung_ct_handler.py", "model-config.yaml", "MAR-INF/MANIFEST.json",
    }  # fmt: skip
    assert manifest["model"]["modelVersion"] == load_model_folder(MODEL).contract.version


def test_the_archive_is_built_again_only_when_something_changed(tmp_path):
    first = run_script("archive", "--out", tmp_path)
    again = run_script("archive", "--out", tmp_path)
    assert ("wrote" in first.stdout, "up to date" in again.stdout) == (True, True)


@pytest.fixture
def packed(tmp_path):
    """The shipped model with settings of its own, in an archive that is newer than all that goes into it."""
    settings, archive = tmp_path / "model-config.yaml", tmp_path / "lung_ct.mar"
    settings.write_text((ROOT / "config" / "model-config.yaml").read_text().replace("batchSize: 16", "batchSize: 15"))
    with zipfile.ZipFile(archive, "w") as file:
        file.write(MODEL / "model.json", "model.json")
        file.write(settings, "model-config.yaml")
    write_seal(archive)
    later = time.time() + 10
    os.utime(archive, (later, later))
    return archive


def test_the_archive_is_built_again_when_it_holds_another_model_or_other_settings(packed, tmp_path):
    settings, other = tmp_path / "model-config.yaml", tmp_path / "other"
    other.mkdir()
    (other / "model.json").write_text("{}")
    assert holds(packed, MODEL, settings)
    assert not holds(packed, other, settings)
    assert not holds(packed, MODEL, ROOT / "config" / "model-config.yaml")
    built = run_script("archive", "--out", tmp_path)
    assert "wrote" in built.stdout


def test_the_archive_of_an_update_stays_until_another_is_asked_for_by_force(packed, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    (store / "lung_ct.mar").write_bytes(b"the one before")
    put(packed, store, find_seal(store / "lung_ct.mar"))
    left = run_script("archive", "--out", store)
    assert left.returncode == 0
    assert "put there by `make update`; `make archive ARGS=--force` builds" in left.stdout
    assert (store / "lung_ct.mar").read_bytes() == packed.read_bytes()
    assert "wrote" in run_script("archive", "--out", store, "--force").stdout
    (store / "lung_ct.mar").write_bytes(packed.read_bytes())  # not by an update, though there was one
    assert "wrote" in run_script("archive", "--out", store).stdout


def test_a_damaged_model_folder_is_not_packed(tmp_path):
    for file in MODEL.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "golden.safetensors").write_bytes(b"x")
    done = run_script("archive", "--model", tmp_path, "--out", tmp_path / "store")
    assert (done.returncode, "golden.safetensors" in done.stderr) == (1, True)
