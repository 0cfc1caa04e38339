from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from lungct.engines import TOLERANCES, prove
from lungct.engines.torch import TorchEngine
from lungct.model.agreement import compare
from lungct.model.calibration import softmax
from lungct.model.preprocess import normalize, to_input
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


@pytest.mark.parametrize("buckets", [(), (2, 4)])
def test_a_slice_is_taken_before_the_next_one_is_asked_for(folder, inputs, buckets):
    """So that it is copied while others are decoded, and whoever makes them may reuse one piece of memory."""

    def draw(reused):
        for pixels in inputs[[0, 1, 2, 3, 1]]:
            reused[:] = pixels
            yield reused

    engine = TorchEngine(folder, buckets=buckets)
    expected = engine.predict(inputs)
    for found, rows in zip(engine.predict(draw(np.empty_like(inputs[0]))), expected, strict=True):
        assert np.allclose(found, rows[[0, 1, 2, 3, 1]], atol=1e-5 * float(np.abs(rows).max()))


def test_a_full_bucket_goes_to_the_network_before_more_slices_are_drawn(folder, inputs, monkeypatch):
    engine, events = TorchEngine(folder, buckets=(2,)), []
    run = engine._run
    monkeypatch.setattr(engine, "_run", lambda count: events.append(f"run {count}") or run(count))

    def draw():
        for row in range(3):
            events.append(f"draw {row}")
            yield inputs[row]

    assert len(engine.predict(draw()).logits) == 3
    assert events == ["draw 0", "draw 1", "run 2", "draw 2", "run 1"]


def test_threads_take_turns_and_each_has_its_own_answers(folder, inputs):
    engine = TorchEngine(folder, buckets=(4,))
    parts = [inputs[at : at + 3] for at in range(3)]
    alone = [engine.predict(part).logits for part in parts]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda turn: engine.predict(parts[turn % 3]).logits, range(12)))
    assert all(np.array_equal(found, alone[turn % 3]) for turn, found in enumerate(together))


def test_answers_stay_when_the_next_batch_is_scored(folder, inputs):
    engine = TorchEngine(folder, buckets=(4,))
    first = engine.predict(inputs)
    kept = [part.copy() for part in first]
    engine.predict(255 - inputs)
    for part, before in zip(first, kept, strict=True):
        assert np.array_equal(part, before)


def score(engine, folder, inputs):
    found = engine.predict(inputs)
    return found, (softmax(found.logits, folder.contract.temperature), found.maps)


@pytest.fixture(scope="module")
def halves(folder, inputs):
    """What a GPU computes, on the CPU: the engine in half precision on phantoms and golden inputs, beside fp32."""
    batch = np.concatenate([inputs, folder.golden.inputs])
    engines = {name: TorchEngine(folder, dtype=getattr(torch, name)) for name in ("float16", "bfloat16", "float32")}
    return engines, {name: score(engine, folder, batch) for name, engine in engines.items()}


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_half_precision_agrees_with_fp32_and_its_evidence_still_adds_up(folder, halves, name):
    engines, scored = halves
    found, answers = scored[name]
    agreement = compare(*answers, scored["float32"][1])
    assert agreement.passes
    assert agreement.label == 1
    assert np.abs(folder.contract.pooling.pool(found.maps) + folder.bias - found.logits).max() < 1e-4
    assert np.abs(found.maps.mean((2, 3)) - found.features @ folder.read_last_layer().T).max() < 1e-4
    prove(engines[name], folder, TOLERANCES["torch-gpu"])
    assert engines[name].kind == "torch-gpu"


def test_fp16_is_closer_to_fp32_than_bf16(halves):
    exact = halves[1]["float32"][0]
    gaps = {
        name: [float(np.abs(part - known).max()) for part, known in zip(halves[1][name][0], exact, strict=True)]
        for name in ("float16", "bfloat16")
    }
    assert all(fine < coarse / 2 for fine, coarse in zip(gaps["float16"], gaps["bfloat16"], strict=True)), gaps


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
@pytest.mark.parametrize("size", [1, 5, 64, 300])
def test_a_gpu_agrees_with_fp32_on_the_cpu(folder, inputs, size):
    rows = np.arange(size) % len(inputs)
    engine = TorchEngine(folder, "cuda")
    _, found = score(engine, folder, inputs[rows])
    _, known = score(TorchEngine(folder), folder, inputs)
    assert compare(*found, (known[0][rows], known[1][rows])).passes
    prove(engine, folder, TOLERANCES["torch-gpu"])
