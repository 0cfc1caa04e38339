"""The weights that a training begins with: those of the network, or it does not begin."""

import shutil
from dataclasses import replace

import pytest
import torch

from lungct.model import ModelContract
from lungct_tools.modelling.pasting.start import read_start


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"module.conv1.weight": torch.zeros(64, 3, 7, 7)}, "no state_dict of a resnet18"),
        ({"conv1.weight": torch.zeros(1)}, "size"),
        ({"fc.weight": torch.zeros(1000, 512)}, "no conv1.weight, which is not trained"),
        ([torch.zeros(1)], "it holds a list"),
        (None, "is empty, or was cut off"),
    ],
    ids=["other names", "another size", "none of its tensors", "no table", "no bytes"],
)
def test_a_start_file_of_another_network_is_refused_before_anything_is_trained(
    tensors, sentence, tmp_path, trained, run_here
):
    if tensors is None:
        (tmp_path / "start.pth").touch()
    else:
        torch.save(tensors, tmp_path / "start.pth")
    place = ("--data", trained.data, "--nodules", trained.nodules, "--init", tmp_path / "start.pth")
    code, said = run_here("train", *place, "--work", tmp_path / "work", "--out", tmp_path / "model", "--version", "8")
    assert (code, sentence in said, "Traceback" in said) == (2, True, False)
    assert not (tmp_path / "model").exists()


def test_start_weights_fill_all_but_the_last_layer(trained):
    start = torch.load(trained.start, weights_only=True)
    torch.manual_seed(1)  # another than that of the start file
    network = read_start(str(trained.start)).network
    assert torch.equal(network.layer4[1].conv2.weight, start["layer4.1.conv2.weight"])
    assert not torch.equal(network.fc.weight, start["fc.weight"])


def test_a_training_that_begins_with_a_model_folder_keeps_its_last_layer_too(folder):
    network, name, earlier = read_start(str(folder.path))
    assert folder.contract.weights_sha256[:12] in name
    assert earlier == folder.contract.training
    assert {name: float(each.sum()) for name, each in network.state_dict().items()} == {
        name: float(each.sum()) for name, each in folder.network.state_dict().items()
    }
    assert float(network.fc.weight.detach().abs().max()) > 0


def test_a_model_folder_of_other_classes_is_no_beginning(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder.path, other)
    replace(ModelContract.read(other), classes=("Normal", "Benign", "Malignant")).write(other)
    with pytest.raises(ValueError, match="has the classes Normal, Benign, Malignant"):
        read_start(str(other))
