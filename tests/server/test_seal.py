"""Who changes the archive, or the settings in it, is found out before anything of it runs."""

import json
import os
import shutil
import zipfile

import pytest
import yaml

from lungct.errors import ModelFolderError
from lungct.model.contract import SEAL, ModelContract, seal
from lungct_tools import ROOT
from lungct_tools.server.instance import find_ports
from lungct_tools.server.modelconfig import check_settings
from lungct_tools.server.seal import NAME, find_seal, fits, read_hash, write_seal
from tests.conftest import MODEL, run_script
from tests.support.standins import make_archive

SHIPPED = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())


@pytest.fixture
def serve(run_here, tmp_path):
    """Try to serve the archive of `tmp_path`/store: exit code and the one sentence."""

    def run(*options):
        place = ("--run", tmp_path / "run", "--store", tmp_path / "store", "--ports", *find_ports(5))
        code, said = run_here("serve", *place, *options)
        assert len(said.strip().splitlines()) == 1, said
        return code, said

    return run


def add_code(archive):
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("lungct/extra.py", "raise SystemExit")


def swap_one_bit(archive):
    text = bytearray(archive.read_bytes())
    text[len(text) // 2] ^= 1
    archive.write_bytes(text)


@pytest.mark.parametrize("change", [add_code, swap_one_bit])
def test_an_archive_that_was_changed_after_it_was_built_is_not_served(tmp_path, serve, change):
    archive = make_archive(tmp_path / "store", **{"weights": "x" * 9999})
    change(archive)
    code, said = serve()
    assert (code, "was changed or damaged" in said) == (2, True), said


@pytest.mark.parametrize("text", [None, "", "0" * 64, "no hash", "\xff" * 64, "../../etc"])
def test_a_seal_that_is_missing_or_no_seal_vouches_for_nothing(tmp_path, serve, text):
    archive = make_archive(tmp_path / "store")
    find_seal(archive).unlink()
    if text is not None:
        find_seal(archive).write_text(text, "latin-1")
    code, said = serve()
    assert (code, str(find_seal(archive)) in said) == (2, True), said
    assert not (tmp_path / "run").exists()


def test_a_seal_that_is_kept_elsewhere_counts_and_not_the_one_beside_the_archive(tmp_path, serve):
    archive = make_archive(tmp_path / "store")
    kept = tmp_path / "kept.sha256"
    shutil.copy(find_seal(archive), kept)
    add_code(archive)
    write_seal(archive)  # by who can write to the whole store
    assert fits(archive)
    code, said = serve("--seal", kept)
    assert (code, f"is not that of {kept}" in said) == (2, True), said


def test_what_was_compared_is_what_is_loaded(tmp_path, serve, monkeypatch):
    """The copy that the server gets is the one whose hash was taken, whatever becomes of the archive meanwhile."""
    archive = make_archive(tmp_path / "store")
    good, loaded = archive.read_bytes(), []

    def launch(instance, settings, store, foreground, form):
        archive.write_bytes(b"another one")
        loaded.append((store / NAME).read_bytes())
        assert f"model_store={store}" in settings.read_text()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lungct_tools.server.serve.launch", launch)
    code, said = serve()
    assert (code, "No space left" in said) == (2, True)
    assert loaded == [good]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"minWorkers": 0}, "minWorkers must be a whole number of 1 to 2147483647"),
        ({"minWorkers": 9999, "maxWorkers": 9999}, "minWorkers is 9999; more than"),
        ({"jobQueueSize": 2**31}, "jobQueueSize must be"),
        ({"responseTimeout": 10**30}, "responseTimeout must be"),
        ({"minWorkers": "2"}, "minWorkers must be a whole number"),
        ({"batchSize": True}, "batchSize must be a whole number"),
        ({"maxBatchDelay": 0}, "maxBatchDelay must be"),
        ({"responseTimeout": 2.5}, "responseTimeout must be"),
        ({"jobQueueSize": None}, "jobQueueSize must be"),
        ({"maxWorkers": 1, "minWorkers": 2}, "maxWorkers must be minWorkers or more"),
        ({"deviceType": "tpu"}, "deviceType must be cpu or gpu"),
        ({"workers": 2}, "unknown setting 'workers'"),
        ({"handler": [1]}, "handler must be a mapping"),
        ({"handler": {"threads": "many"}}, "'threads' must be int"),
        ({"handler": {"engine": "fast"}}, "there is no engine 'fast'"),
        ("a: [", "is no YAML"),
        ("- a", "must be a mapping"),
        ("minWorkers: 1", "lacks maxWorkers"),
    ],
)
def test_settings_that_could_not_be_served_with_are_told_before_anything_starts(tmp_path, serve, changes, says):
    text = changes if isinstance(changes, str) else yaml.safe_dump({**SHIPPED, **changes})
    make_archive(tmp_path / "store", text)
    code, said = serve()
    assert (code, says in said) == (2, True), said


def test_nor_are_they_packed(tmp_path):
    (tmp_path / "model-config.yaml").write_text("minWorkers: many")
    built = run_script("archive", "--out", tmp_path / "store", "--settings", tmp_path / "model-config.yaml")
    assert (built.returncode, "model-config.yaml lacks" in built.stderr) == (1, True)
    assert "Traceback" not in built.stderr


def test_the_settings_that_ship_pass():
    assert check_settings((ROOT / "config" / "model-config.yaml").read_bytes()) == SHIPPED


def test_a_built_archive_has_a_seal_that_sha256sum_reads_and_one_that_was_changed_is_built_anew(store, tmp_path):
    for name in (NAME, f"{NAME}.sha256"):
        shutil.copy(store / name, tmp_path / name)
    archive = tmp_path / NAME
    assert find_seal(archive).read_text() == f"{read_hash(archive)}  {NAME}\n"
    assert "up to date" in run_script("archive", "--out", tmp_path).stdout
    add_code(archive)
    again = run_script("archive", "--out", tmp_path)
    assert "does not fit its seal" in again.stdout
    assert "wrote" in again.stdout
    assert fits(archive)
    with zipfile.ZipFile(archive) as packed:
        assert "lungct/extra.py" not in packed.namelist()


def test_an_archive_that_came_by_an_update_and_was_changed_is_neither_served_nor_replaced_unasked(tmp_path):
    archive = make_archive(tmp_path / "store")
    shutil.copy(archive, archive.with_name(f"{NAME}.previous"))
    add_code(archive)
    os.utime(archive.with_name(f"{NAME}.previous"))
    changed = archive.read_bytes()
    said = run_script("archive", "--out", archive.parent)
    assert (said.returncode, "was changed or damaged" in said.stderr) == (1, True)
    assert archive.read_bytes() == changed


def test_an_update_to_an_archive_without_its_seal_is_refused_at_once(tmp_path):
    archive = make_archive(tmp_path / "new")
    find_seal(archive).unlink()
    refused = run_script("update", archive, "--run", tmp_path)
    assert (refused.returncode, "is missing, without which" in refused.stderr) == (2, True)


class TestTheModelsOwnSeal:
    @pytest.fixture
    def model(self, tmp_path):
        shutil.copy(MODEL / "model.json", tmp_path)
        return tmp_path

    @staticmethod
    def change(model, sealed):
        document = json.loads((model / "model.json").read_text())
        document["refer_below"] = dict.fromkeys(document["classes"], 0.0)
        if not sealed:
            del document[SEAL]
        (model / "model.json").write_text(json.dumps(document))

    @pytest.mark.parametrize("sealed", [True, False])
    def test_thresholds_that_were_changed_do_not_load_with_the_old_seal_nor_without_one(self, model, sealed):
        self.change(model, sealed)
        with pytest.raises(ModelFolderError, match="missing or does not fit"):
            ModelContract.read(model)

    def test_after_a_change_on_purpose_it_is_sealed_anew(self, model):
        self.change(model, sealed=False)
        seal(model)
        assert set(ModelContract.read(model).refer_below.values()) == {0.0}

    @pytest.mark.parametrize("text", ["{", "[]", "1"])
    def test_what_is_no_contract_gets_no_seal(self, model, text):
        (model / "model.json").write_text(text)
        with pytest.raises(ModelFolderError, match="no model contract"):
            seal(model)
