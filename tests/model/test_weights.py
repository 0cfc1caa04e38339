import numpy as np

from lungct.model.network import LungResNet18
from lungct.model.weights import list_shapes


def test_the_tensors_asked_for_are_those_of_torchvisions_resnet18():
    state = LungResNet18(3).state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert list_shapes(3) == expected


def test_reading_gives_single_precision_whatever_the_file_holds(folder):
    weights = folder.read_weights()
    assert set(weights) == set(list_shapes(3))
    assert {tensor.dtype for tensor in weights.values()} == {np.dtype(np.float32)}
    assert np.array_equal(weights["fc.bias"], folder.bias)
