"""A user's own checkpoint as a model folder: what is taken over, and what is refused in a sentence."""

import sys

import pytest
import torch
import torchvision

from lungct.model.folder import load_model_folder
from lungct.model.pooling import BY_MEAN
from lungct_tools.modelling import import_checkpoint
from lungct_tools.modelling.import_checkpoint import CheckpointError, read_checkpoint
from tests.conftest import run_script


@pytest.fixture
def checkpoint(tmp_path):
    """A state_dict as the original project saves it."""
    torch.manual_seed(5)
    network = torchvision.models.resnet18(num_classes=3)
    torch.save(network.state_dict(), tmp_path / "lung_cancer_model_40.pth")
    return tmp_path / "lung_cancer_model_40.pth"


def test_a_torchvision_checkpoint_becomes_a_model_folder_and_an_archive(checkpoint, tmp_path):
    out = tmp_path / "mine"
    done = run_script("import", checkpoint, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "every slice is referred" in done.stdout, "no limit is known"
    folder = load_model_folder(out)
    assert folder.contract.classes == ("Benign", "Malignant", "Normal")
    assert folder.contract.geometry == "squash"
    assert folder.contract.pooling == BY_MEAN
    original = torch.load(checkpoint, weights_only=True)
    assert torch.allclose(folder.network.conv1.weight, original["conv1.weight"], atol=1e-3)
    packed = run_script("archive", "--model", out, "--out", tmp_path / "store")
    assert packed.returncode == 0, packed.stderr
    assert (tmp_path / "store" / "lung_ct.mar").is_file()


def test_the_outputs_may_be_in_another_order_and_have_the_names_of_the_data_sets_folders(
    checkpoint, tmp_path, run_here
):
    names = "Normal cases, Bengin cases ,Malignant"
    assert run_here("import", checkpoint, "--out", tmp_path / "m", "--classes", names)[0] == 0
    assert load_model_folder(tmp_path / "m").contract.classes == ("Normal", "Benign", "Malignant")


@pytest.mark.parametrize("names", ["A,B,C", "Benign,Malignant", "Benign,Benign,Normal", "benigno,Malignant,Normal"])
def test_classes_without_a_place_in_the_order_from_normal_to_malignant_are_refused(names, tmp_path, run_here, capsys):
    """The most suspicious slice, heatmaps of abnormal ones and the order in replies all need to know the classes."""
    with pytest.raises(SystemExit):
        run_here("import", "any.pth", "--out", tmp_path / "m", "--classes", names)
    assert "--classes must be Benign, Malignant and Normal" in capsys.readouterr().err


def test_a_checkpoint_of_other_classes_is_refused_by_the_number_of_its_outputs(tmp_path, run_here):
    torch.save(torchvision.models.resnet18(num_classes=4).state_dict(), tmp_path / "four.pth")
    code, said = run_here("import", tmp_path / "four.pth", "--out", tmp_path / "m")
    assert (code, "has 4 outputs" in said) == (1, True)


def test_a_checkpoint_that_cannot_be_read_is_told_from_one_that_is_none(tmp_path, run_here):
    code, said = run_here("import", tmp_path / "missing.pth", "--out", tmp_path / "m")
    assert (code, said) == (1, f"import: {tmp_path / 'missing.pth'} cannot be read: No such file or directory.\n")


@pytest.mark.parametrize(
    "body", [b"\x80\x02h\x07.", b"\x80\x02.", b"\x80\x02K", b"\xff" * 40, b"\x80\x02X\x01\0\0\0\xff."]
)
def test_bytes_that_are_no_pickle_are_refused_whatever_they_make_it_stumble_over(body, tmp_path):
    (tmp_path / "junk.pth").write_bytes(body)
    with pytest.raises(CheckpointError, match="no plain state_dict"):
        read_checkpoint(tmp_path / "junk.pth", ("Benign", "Malignant", "Normal"))


class Planted:
    """Pickles into a command; loading it would leave a trace."""

    def __reduce__(self):
        return (print, ("code ran",))


@pytest.mark.parametrize("kind", ["whole model", "code", "text", "other network", "list"])
def test_anything_else_is_refused_in_a_sentence_and_runs_no_code(kind, tmp_path, monkeypatch, capsys):
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
    monkeypatch.setattr(sys, "argv", ["import", str(path), "--out", str(tmp_path / "out")])
    assert import_checkpoint.main() == 1
    said = capsys.readouterr()
    assert said.err.startswith("import: ")
    assert "code ran" not in said.out
    assert not (tmp_path / "out").exists()
