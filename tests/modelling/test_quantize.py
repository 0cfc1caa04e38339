import json
import shutil
from dataclasses import replace

import numpy as np

from lungct.engines.graph import build_graph
from lungct.engines.openvino import OpenVinoEngine, has_bf16
from lungct.model.folder import QUANTISED, QUANTISED_WEIGHTS, load_model_folder
from lungct.model.weights import fold_batchnorm
from lungct_tools.modelling.dataset import read_cases
from lungct_tools.modelling.quantisation import gather, measure_agreement, perturb, write
from lungct_tools.modelling.sources import read_labelled
from tests.conftest import MODEL, run_script


def test_perturbed_inputs_differ_from_theirs_and_are_the_same_for_one_seed(folder):
    inputs = folder.golden.inputs
    found = perturb(inputs, seed=1)
    assert found.shape == inputs.shape
    assert found.dtype == np.uint8
    assert np.array_equal(found, perturb(inputs, seed=1))
    assert all((one != other).mean() > 0.5 for one, other in zip(found, inputs, strict=True))


def test_a_graph_that_was_put_into_a_folder_verifies_is_not_trusted_yet_and_can_be_measured(tmp_path, folder):
    copy = load_model_folder(shutil.copytree(MODEL, tmp_path / "model"))
    written = write(build_graph(fold_batchnorm(folder.read_weights()), 224, folder.contract.pooling), copy)
    assert {QUANTISED, QUANTISED_WEIGHTS} <= set(written.contract.files)
    assert not written.contract.agreement
    inputs = np.repeat(folder.golden.inputs, 7, axis=0)
    (agreement,) = measure_agreement(written, [OpenVinoEngine(written, "int8")], inputs).values()
    assert agreement.passes


def test_calibration_is_on_what_was_trained_on_and_agreement_on_what_was_not(trained):
    found, cases = gather(trained.data, trained.nodules, 224), read_cases(trained.data)
    assert found.trained.shape[1:] == found.unseen.shape[1:] == (1, 224, 224)
    seen = {pixels.tobytes() for pixels in found.trained}
    assert not seen & {pixels.tobytes() for pixels in found.unseen}
    known = read_labelled(trained.data, cases)
    real = {
        was: {cases.inputs([at], 224)[0].tobytes() for at, one in enumerate(known) if one.seen is was}
        for was in (True, False)
    }
    assert seen & real[True]
    assert not seen & real[False]


def test_one_command_adds_a_graph_and_says_whether_it_passes(trained, tmp_path):
    model = shutil.copytree(trained.model, tmp_path / "model")
    done = run_script("quantize", "--data", trained.data, "--nodules", trained.nodules, "--model", model)
    agreement = load_model_folder(model).contract.agreement
    assert list(agreement) == ["openvino-int8", *(["openvino-int8-bf16"] if has_bf16() else [])]
    assert done.returncode == (0 if all(found.passes for found in agreement.values()) else 1), done.stderr
    assert {found.slices for found in agreement.values()} == {
        2 * len(gather(trained.data, trained.nodules, 224).unseen)
    }
    told, _, *verdicts = done.stdout.splitlines()[-2 - len(agreement) :]
    assert json.loads(told) == {name: found._asdict() for name, found in agreement.items()}
    assert [line.split()[1] for line in verdicts] == list(agreement)
    before = {path: path.read_bytes() for path in model.iterdir() if path.is_file()}
    replace(load_model_folder(model).contract, agreement={}).write(model)  # as by a processor that measured none
    again = run_script("quantize", "--data", trained.data, "--nodules", trained.nodules, "--model", model, "--check")
    assert again.returncode == done.returncode, again.stderr
    assert json.loads(again.stdout.splitlines()[-2 - len(agreement)]) == json.loads(told)
    assert {path: path.read_bytes() for path in model.iterdir() if path.is_file()} == before
