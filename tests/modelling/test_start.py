"""The weights that a training begins with: those of the network, or it does not begin."""

import pytest
import torch

from lungct_tools.modelling.pasting.start import build_network


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
    network = build_network(str(trained.start))
    assert torch.equal(network.layer4[1].conv2.weight, start["layer4.1.conv2.weight"])
    assert not torch.equal(network.fc.weight, start["fc.weight"])
