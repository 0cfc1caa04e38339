import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.strategies import data, integers

from lungct.engines import TOLERANCES, prove
from lungct.engines.torch import TorchEngine
from lungct.errors import ModelFolderError
from lungct.model.contract import CONTRACT, WEIGHTS, ModelContract, seal
from lungct.model.folder import GATE, GOLDEN, load_model_folder, save_model_folder, sha256_of
from lungct.model.network import LungResNet18
from lungct.model.pooling import BY_MEAN
from lungct.model.statistics import Statistics
from tests.conftest import MODEL


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(MODEL, tmp_path / "model")


def rewrite(folder, **changes):
    """Change model.json by hand, and seal it anew, as its message says."""
    contract = json.loads((folder / CONTRACT).read_text())
    (folder / CONTRACT).write_text(json.dumps({**contract, **changes}))
    seal(folder)


@pytest.mark.parametrize("name", [WEIGHTS, GOLDEN, GATE])
@pytest.mark.parametrize("place", [0.1, 0.5, 0.999])
def test_one_flipped_bit_in_any_file_is_refused(copy, name, place):
    content = bytearray((copy / name).read_bytes())
    content[int(len(content) * place)] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ModelFolderError, match=f"{name}.*changed"):
        load_model_folder(copy)


@given(data())
def test_one_flipped_bit_anywhere_in_the_contract_is_refused(drawn):
    content = bytearray((MODEL / CONTRACT).read_bytes())
    content[drawn.draw(integers(0, len(content) - 1), "byte")] ^= 1 << drawn.draw(integers(0, 7), "bit")
    with TemporaryDirectory() as folder:
        (Path(folder) / CONTRACT).write_bytes(content)
        with pytest.raises(ModelFolderError, match=CONTRACT):
            ModelContract.read(Path(folder))


@pytest.mark.parametrize("name", [WEIGHTS, GOLDEN, GATE, CONTRACT])
def test_a_missing_file_is_refused_by_name(copy, name):
    (copy / name).unlink()
    with pytest.raises(ModelFolderError, match=name):
        load_model_folder(copy)


@pytest.mark.parametrize(
    "changes",
    [{"classes": ["A", "B"]}, {"size": 128}, {"temperature": 0}, {"mean": 0.4}, {"files": {}}, {"surprise": 1}]
    + [{"refer_below": limits} for limits in ({"Benign": 0.5}, {"A": 1.0, "B": 1.0, "C": 1.0}, None, {"Benign": "x"})],
)
def test_a_contract_that_disagrees_with_the_tensors_is_refused(copy, changes):
    rewrite(copy, **changes)
    with pytest.raises(ModelFolderError):
        load_model_folder(copy)


@pytest.mark.parametrize("name", ["Malignant, large", "T1: Malignant", "Benign|Malignant", "Malignant\n"])
def test_a_class_that_metrics_cannot_count_is_refused(copy, name):
    rewrite(copy, classes=["Benign", name, "Normal"], refer_below={})
    with pytest.raises(ModelFolderError, match="rename the class"):
        load_model_folder(copy)


def test_weights_of_another_network_fail_the_golden_self_check(copy):
    """Right shapes, right hashes, wrong numbers: only the golden answers can tell."""
    golden = load_model_folder(copy).golden
    torch.manual_seed(1)
    shutil.copytree(copy, copy.parent / "other")
    save_model_folder(copy.parent / "other", LungResNet18(3).eval(), ModelContract("x"), golden.inputs)
    shutil.copy(copy.parent / "other" / WEIGHTS, copy / WEIGHTS)
    rewrite(copy, files={name: sha256_of(copy / name) for name in (WEIGHTS, GOLDEN, GATE)})
    changed = load_model_folder(copy)
    with pytest.raises(ModelFolderError, match="golden"):
        prove(TorchEngine(changed, torch.device("cpu")), changed, TOLERANCES["torch"])


def test_a_written_folder_reads_back_as_it_was(tmp_path):
    torch.manual_seed(0)
    network = LungResNet18(3).eval()
    inputs = np.zeros((2, 1, 224, 224), np.uint8)
    limits = {"Benign": 2.0, "Malignant": 0.5, "Normal": 0.6}
    written = save_model_folder(tmp_path, network, ModelContract("7", temperature=1.5, refer_below=limits), inputs)
    read = load_model_folder(tmp_path)
    assert read.contract == written
    assert torch.equal(read.network.fc.weight, network.fc.weight.half().float())


def test_one_threshold_for_all_classes_as_older_folders_have_it_is_read_as_each_class_s_own(copy):
    rewrite(copy, refer_below=0.6)
    assert load_model_folder(copy).contract.refer_below == {"Benign": 0.6, "Malignant": 0.6, "Normal": 0.6}


def test_a_folder_as_version_1_4_wrote_it_still_loads_pools_by_the_mean_and_keeps_its_limits(tmp_path):
    """The contract is the one that version 1.4 shipped, but for the hashes: its weights weigh 22 MB."""
    torch.manual_seed(2)
    gate = Statistics(np.eye(512, dtype=np.float32), np.zeros((3, 512), np.float32), 1, 2)
    network, inputs = LungResNet18(3).eval(), np.zeros((1, 1, 224, 224), np.uint8)
    files = save_model_folder(tmp_path, network, ModelContract("x"), inputs, gate).files
    old = json.loads((Path(__file__).parents[1] / "support" / "contract_1_4.json").read_text())
    assert not {"pooling", "judged"} & old.keys()
    (tmp_path / CONTRACT).write_text(json.dumps({**old, "files": dict(files)}))
    seal(tmp_path)
    read = load_model_folder(tmp_path)
    assert (read.contract.version, read.contract.pooling, read.contract.judged) == ("1.4", BY_MEAN, None)
    assert read.contract.refer_below == {"Benign": 2.0, "Malignant": 0.522, "Normal": 2.0}
    assert (read.gate.refer_above, read.gate.refuse_above, read.gate.least_sharpness) == (45.351, 57.531, 1.79)
    prove(TorchEngine(read, torch.device("cpu")), read, TOLERANCES["torch"])


def test_the_shipped_model_has_the_class_order_of_the_original_checkpoints(folder):
    assert folder.contract.classes == ("Benign", "Malignant", "Normal")
    assert folder.contract.research_use_only


def test_the_engine_reproduces_the_golden_answers_of_the_shipped_model(folder):
    engine = TorchEngine(folder, torch.device("cpu"))
    prove(engine, folder, TOLERANCES["torch"])
    found = engine.predict(folder.golden.inputs)
    assert found.maps.shape == (3, 3, 7, 7)
    assert found.features.shape == (3, 512)
