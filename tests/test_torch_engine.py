import numpy as np
import pytest
import torch
from lungct.agreement import compare
from lungct.preprocess import normalize, to_input
from lungct.result import softmax
from lungct.torch_engine import TorchEngine
from lungct.window import LUNG


@pytest.fixture(scope="module")
def inputs(phantoms):
    return np.stack([to_input(pixels, 224, "pad", LUNG.air) for pixels in phantoms])


def test_it_computes_what_the_plain_network_computes(folder, inputs):
    network = folder.network  # loaded outside, or its weights could never be differentiated
    with torch.inference_mode():
        expected = network.explain(normalize(torch.from_numpy(inputs)))
    for found, plain in zip(TorchEngine(folder).predict(inputs), expected, strict=True):
        assert np.allclose(found, plain.numpy(), atol=1e-4 * float(plain.abs().max()))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_buckets_and_their_padding_change_no_row_whatever_the_batch_before_held(folder, inputs, size):
    """What a GPU does, on the CPU: padded to 2 or 4, over 4 in parts."""
    padded, plain = TorchEngine(folder, buckets=(2, 4)), TorchEngine(folder)
    rows = np.arange(size) % len(inputs)
    padded.predict(255 - inputs)
    for found, expected in zip(padded.predict(inputs[rows]), plain.predict(inputs[rows]), strict=True):
        assert found.shape == expected.shape
        assert np.allclose(found, expected, atol=1e-5 * float(np.abs(expected).max()))


def test_every_size_of_batch_is_ready_before_the_first_request(folder):
    engine = TorchEngine(folder, buckets=(1, 2, 4, 8))
    engine.warm(3)
    assert set(engine._lanes) == {1, 2, 4}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize("size", [1, 5, 64, 300])
def test_a_gpu_agrees_with_fp32_on_the_cpu(folder, inputs, size):
    rows = np.arange(size) % len(inputs)
    gpu, cpu = TorchEngine(folder, "cuda").predict(inputs[rows]), TorchEngine(folder).predict(inputs)
    probabilities = [
        np.stack([softmax(row, folder.contract.temperature) for row in part.logits]) for part in (gpu, cpu)
    ]
    assert compare(probabilities[0], gpu.maps, (probabilities[1][rows], cpu.maps[rows])).passes
