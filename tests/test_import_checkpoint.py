"""A user's own checkpoint as a model folder: what is taken over, and what is refused in a sentence."""

import pytest
import torch
import torchvision
from lungct.model import load_model_folder

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
