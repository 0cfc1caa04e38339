"""Which engine a worker takes, and what it does when that one is wrong, broken or missing."""

import logging
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch

from lungct.engines import choose_engine
from lungct.engines.graph import build_graph
from lungct.engines.openvino import OpenVinoEngine, has_bf16
from lungct.engines.torch import TorchEngine
from lungct.errors import ModelFolderError
from lungct.model.agreement import Agreement
from lungct.model.folder import QUANTISED, QUANTISED_WEIGHTS, load_model_folder, sha256_of
from lungct.model.preprocess import to_input
from lungct.model.weights import fold_batchnorm
from lungct.window import LUNG
from tests.conftest import MODEL
from tests.support.serving import SERVING

PASSED = Agreement(100, 1.0, 0.0, 1.0)
INT8 = {"openvino-int8": PASSED}


def add_graph(path, weights, agreement):
    """Put a graph of `weights` where the int8 graph belongs; what is in it makes no difference to its handling."""
    contract = load_model_folder(MODEL).contract
    ov.save_model(build_graph(fold_batchnorm(weights), 224, contract.pooling), path / QUANTISED)
    hashes = {name: sha256_of(path / name) for name in (QUANTISED, QUANTISED_WEIGHTS)}
    replace(contract, files={**contract.files, **hashes}, agreement=agreement).write(path)
    return load_model_folder(path)


@pytest.mark.parametrize("name", ["openvino-fp32", "torch"])
def test_slices_may_come_one_by_one_and_a_fault_among_them_leaves_the_next_batch_whole(folder, name):
    engine = choose_engine(folder, threads=2, wanted=name)
    inputs = np.concatenate([folder.golden.inputs, 255 - folder.golden.inputs])
    expected = engine.predict(inputs)

    def fail_late():
        yield from inputs
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        engine.predict(fail_late())
    turned = engine.predict(iter(inputs[::-1]))
    for found, rows in zip(turned, expected, strict=True):
        assert np.allclose(found, rows[::-1], atol=1e-5)


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(MODEL, tmp_path / "model")


def test_a_graph_that_passed_is_taken_and_one_that_did_not_is_left(copy, folder):
    weights = folder.read_weights()
    plain = "openvino-bf16" if has_bf16() else "openvino-fp32"
    assert choose_engine(add_graph(copy, weights, INT8)).name == "openvino-int8"
    assert choose_engine(add_graph(copy, weights, {"openvino-int8": PASSED._replace(label=0.98)})).name == plain


def test_a_graph_that_passed_with_the_rest_in_bf16_serves_so_where_the_processor_has_it(copy, folder, monkeypatch):
    passed = {"openvino-int8-bf16": PASSED, **INT8}
    fast, other = ("openvino-int8-bf16", "openvino-int8")
    there = add_graph(copy, folder.read_weights(), passed)
    assert choose_engine(there).name == (fast if has_bf16() else other)
    monkeypatch.setattr("lungct.engines.openvino.has_bf16", lambda: False)
    assert choose_engine(there).name == other


def test_an_engine_that_fails_the_golden_answers_is_replaced_by_a_safer_one_and_the_log_says_so(copy, folder, caplog):
    wrong = {name: tensor * 2 if name == "fc.weight" else tensor for name, tensor in folder.read_weights().items()}
    with caplog.at_level(logging.ERROR):
        engine = choose_engine(add_graph(copy, wrong, INT8))
    assert engine.name in ("openvino-fp32", "openvino-bf16")
    assert "openvino-int8 is not used" in caplog.text
    assert "golden" in caplog.text


def test_nothing_stands_in_for_an_engine_that_was_asked_for_by_name(copy, folder):
    wrong = {name: tensor * 2 if name == "fc.weight" else tensor for name, tensor in folder.read_weights().items()}
    with pytest.raises(ModelFolderError, match="golden"):
        choose_engine(add_graph(copy, wrong, INT8), wanted="openvino-int8")
    with pytest.raises(ValueError, match="openvino-fp32"):
        choose_engine(folder, wanted="tensorflow")
    with pytest.raises(RuntimeError, match="needs a GPU"):
        choose_engine(folder, "cpu", wanted="torch-gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without GPU")
def test_a_worker_that_was_given_a_gpu_its_torch_cannot_use_serves_on_the_cpu_and_says_so(folder, caplog):
    assert choose_engine(folder, "cuda:0").name.startswith("openvino")
    assert "torch-gpu is not used" in caplog.text


def put_on_cpu(monkeypatch, **faults):
    """Let torch-gpu be torch on the CPU with a GPU's buckets; each fault is raised by the method of its name."""
    made = []

    class Stand(TorchEngine):
        def __init__(self, folder, device, threads):
            super().__init__(folder, "cpu", threads, buckets=(1, 2, 4, 8))
            made.append(self)

    for method, fault in faults.items():

        def fail(*_, fault=fault):
            raise fault

        monkeypatch.setattr(Stand, method, fail)
    monkeypatch.setattr("lungct.engines.torch.TorchEngine", Stand)
    return made


@pytest.mark.parametrize(
    "faults",
    [
        {"__init__": OSError("libcudart.so.13: cannot open shared object file")},
        {"predict": torch.OutOfMemoryError("CUDA out of memory")},
        {"warm": torch.OutOfMemoryError("CUDA out of memory")},
    ],
    ids=["library", "first batch", "larger batches"],
)
def test_a_gpu_that_fails_while_its_engine_is_made_or_warmed_is_left_and_the_log_says_so(
    folder, faults, monkeypatch, caplog
):
    put_on_cpu(monkeypatch, **faults)
    assert choose_engine(folder, "cuda:0", largest=16).name == SERVING[-1]
    assert f"torch-gpu is not used, a slower and safer one is: {next(iter(faults.values()))}" in caplog.text
    with pytest.raises(type(next(iter(faults.values())))):
        choose_engine(folder, "cuda:0", wanted="torch-gpu", largest=16)


def test_a_chosen_engine_is_warm_for_every_size_of_batch(folder, monkeypatch):
    made = put_on_cpu(monkeypatch)
    choose_engine(folder, "cuda:0", largest=3)
    assert set(made[0]._lanes) == {1, 2, 4}


def test_a_folder_without_an_int8_graph_says_how_to_make_one(copy, folder):
    names = (QUANTISED, QUANTISED_WEIGHTS)
    files = {name: digest for name, digest in folder.contract.files.items() if name not in names}
    replace(folder.contract, files=files, agreement={}).write(copy)
    with pytest.raises(RuntimeError, match="make quantize"):
        choose_engine(load_model_folder(copy), wanted="openvino-int8")


@pytest.mark.parametrize("name", [QUANTISED, QUANTISED_WEIGHTS])
def test_one_flipped_bit_in_the_int8_graph_is_refused(copy, folder, name):
    add_graph(copy, folder.read_weights(), INT8)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ModelFolderError, match=f"{name}.*changed"):
        load_model_folder(copy)


def test_bf16_is_not_pretended_where_the_processor_lacks_it(folder, monkeypatch):
    monkeypatch.setattr("lungct.engines.openvino.has_bf16", lambda: False)
    for precision in ("bf16", "int8-bf16"):
        with pytest.raises(RuntimeError, match="bf16"):
            OpenVinoEngine(folder, precision)


def run(code):
    program = f"import sys; {code}"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


CHOOSE = (
    "from pathlib import Path; from lungct.model import load_model_folder; from lungct.engines import choose_engine; "
    f"engine = choose_engine(load_model_folder(Path({str(MODEL)!r}))); print(engine.name)"
)


def test_torch_is_not_loaded_where_openvino_serves():
    done = run(f"{CHOOSE}; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("openvino-")


def test_openvino_is_not_loaded_where_a_gpu_serves():
    stand_in = "import lungct.engines.torch as t; E = t.TorchEngine; t.TorchEngine = lambda f, d, n: E(f, 'cpu', n)"
    on_gpu = CHOOSE.replace(")))", ")), 'cuda:0')")
    done = run(f"{stand_in}; {on_gpu}; sys.exit('openvino' in sys.modules)")
    assert (done.returncode, done.stdout.strip()) == (0, "torch-cpu-fp32"), done.stderr


def test_openvino_reports_nothing_to_its_makers():
    """Its import starts a session with their server unless their package for that cannot be imported."""
    done = run(f"{CHOOSE}; sys.exit(any(sys.modules[m] for m in sys.modules if m.startswith('openvino_telemetry')))")
    assert done.returncode == 0, done.stderr


def test_torch_serves_where_openvino_is_missing_and_the_log_says_so():
    done = run(f"sys.modules['openvino'] = None; {CHOOSE}")
    assert done.stdout.strip() == "torch-cpu-fp32"
    assert "openvino-fp32 is not used" in done.stderr


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", SERVING)
def test_a_row_is_the_same_to_the_byte_in_any_batch_and_with_any_number_of_threads(folder, phantoms, name, threads):
    inputs = np.stack([to_input(pixels, 224, "pad", LUNG.air) for pixels in phantoms])
    engine = choose_engine(folder, threads=threads, wanted=name)
    alone = [choose_engine(folder, threads=2, wanted=name).predict(inputs[i : i + 1]) for i in range(len(inputs))]
    for batch in ([0, 1], [3, 2, 1, 0], [0] * 5, [2, 0, 3, 1, 2, 2, 1, 0, 3, 3, 0, 1, 2, 1, 0, 3]):
        found = engine.predict(inputs[batch])
        for row, i in enumerate(batch):
            for part, solo in zip(found, alone[i], strict=True):
                assert part[row].tobytes() == solo[0].tobytes()


@pytest.mark.parametrize("name", SERVING)
def test_callers_from_several_threads_take_turns(folder, phantoms, name):
    engine = choose_engine(folder, threads=2, wanted=name)
    inputs = [to_input(phantoms[number % 4], 224, "pad", LUNG.air)[None] for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(engine.predict, inputs))
    assert all(
        np.array_equal(engine.predict(one).logits, found.logits) for one, found in zip(inputs, together, strict=True)
    )


def test_no_thread_keeps_to_some_cores_where_other_workers_may_be_as_well(folder):
    engine, everywhere = OpenVinoEngine(folder, threads=1), os.sched_getaffinity(0)
    with ThreadPoolExecutor(1) as pool:
        for inputs in (folder.golden.inputs[:1], folder.golden.inputs[:1].repeat(8, axis=0)):
            scored = pool.submit(engine.predict, inputs)
            while not scored.done():
                for task in Path("/proc/self/task").iterdir():
                    with suppress(ProcessLookupError):  # it has ended
                        assert os.sched_getaffinity(int(task.name)) == everywhere
