import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lungct.engines.torch import TorchEngine
from lungct.model.folder import load_model_folder
from lungct.model.preprocess import normalize
from lungct.pipeline import Job, Pipeline
from lungct.pixels.raster import ORIENTATION
from lungct.settings import Settings
from lungct.window import LUNG
from lungct_tools.modelling.crossvalidation import ANSWERS, ASSIGNMENT, FOLDS, KEPT_OUT, TRIALS, Trial
from lungct_tools.modelling.dataset import CLASSES, TABLE, read_cases
from lungct_tools.modelling.metrics import ALWAYS, Calibration, softmax
from lungct_tools.modelling.recipe import Recipe, build_mixing, build_network, read_recipe
from lungct_tools.modelling.shipping import ship
from lungct_tools.phantom.anatomy import draw_slice
from tests.support.dicoms import HU, build_ct
from tests.support.madeup import RECIPE
from tests.support.pictures import encode, encode_tiff


@pytest.fixture(scope="module")
def cases(trained):
    return read_cases(trained.data)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Data whose files differ in all that a decoder might treat otherwise: codec, colour, depth, shape, orientation."""
    root = tmp_path_factory.mktemp("mixed")
    hu = draw_slice(1, "smooth", 160)
    gray = LUNG.render(hu)
    wide, turned = gray[40:120], Image.Exif()
    turned[ORIENTATION] = 6  # the file is to be turned clockwise
    files = {
        "gray.png": encode(gray, "PNG"),
        "gray.jpg": encode(gray, "JPEG", quality=80),
        "colour.jpg": encode(np.dstack([gray, gray // 2, 255 - gray]), "JPEG"),
        "wide.png": encode(wide, "PNG"),
        "wide.jpg": encode(wide, "JPEG"),
        "tall.png": encode(wide.T, "PNG"),
        "turned.jpg": encode(wide, "JPEG", exif=turned),
        "deep.tif": encode_tiff(hu),
        "scanner.dcm": build_ct(),
    }
    for name, body in files.items():
        (root / name).write_bytes(body)
    (root / TABLE).write_text("file,label\n" + "".join(f"{name},normal\n" for name in files))
    return root


def test_a_file_gives_the_same_tensor_in_training_and_in_serving(mixed, folder):
    seen = []

    class Spy(TorchEngine):
        def predict(self, inputs):
            drawn = list(inputs)
            seen.extend(drawn)
            return super().predict(drawn)

    pipeline = Pipeline(folder, Spy(folder, torch.device("cpu")), Settings(), threads=1)
    read = read_cases(mixed)
    for name in read.files:
        pipeline.score([Job({"body": (mixed / name).read_bytes()}, {"X-Gate": "off"})])
    trained_on = read.inputs(np.arange(len(read.files)), folder.contract.size)
    assert len(seen) == len(read.files) == 9
    assert [name for name, a, b in zip(read.files, seen, trained_on, strict=True) if not np.array_equal(a, b)] == []


def test_training_sees_padding_orientation_and_hu_as_the_api_promises_them(mixed):
    read = read_cases(mixed)
    inputs = dict(zip(read.files, read.inputs(np.arange(len(read.files)), 224)[:, 0], strict=True))
    slices = dict(zip(read.files, read.slices, strict=True))
    for name in ("wide.png", "wide.jpg"):
        assert (inputs[name][[0, 50, 170, -1]] == LUNG.air).all(), "above and below the slice is air"
        assert (inputs[name][70:154] != LUNG.air).any()
    assert (inputs["tall.png"][:, [0, 50, 170, -1]] == LUNG.air).all()
    assert np.array_equal(slices["turned.jpg"], np.rot90(slices["wide.jpg"], -1))
    assert np.array_equal(slices["deep.tif"], LUNG.render(draw_slice(1, "smooth", 160)))
    assert np.array_equal(slices["scanner.dcm"], LUNG.render(HU))


def test_a_trained_folder_verifies_and_states_how_it_was_made(trained):
    contract = load_model_folder(trained.model).contract
    assert contract.version == "7"
    assert contract.training["slices"] == {"training": 24, "kept_out": 6}
    assert [(t["trial"], json.loads(t["recipe"])) for t in contract.training["trials"]] == [
        ("base", json.loads(RECIPE))
    ]
    assert contract.refer_below == dict.fromkeys(CLASSES, ALWAYS)  # six slices support no threshold
    assert 0 < contract.gate["refer_above"] <= contract.gate["refuse_above"]
    assert set(contract.metrics) > {"accuracy", "recall_benign", "ece", "reported_share"}


def test_the_fold_assignment_names_every_slice_once_and_splits_no_case(trained, cases):
    with (trained.model / ASSIGNMENT).open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["file"] for row in table] == cases.files
    folds_of = {row["case"]: {r["fold"] for r in table if r["case"] == row["case"]} for row in table}
    assert all(len(folds) == 1 for folds in folds_of.values())
    assert {row["fold"] for row in table} == {str(fold) for fold in range(FOLDS)}


def test_each_slice_is_answered_by_the_network_that_did_not_see_its_case(trained, cases):
    trial = Trial(trained.work, "base", cases, Recipe(), str(trained.start), 0)
    answers = load_file(trained.model / ANSWERS)
    for fold in (0, 3):
        rows = np.flatnonzero(trial.folds == fold)
        with torch.inference_mode():
            found = trial.network(fold)(normalize(torch.from_numpy(cases.inputs(rows, 224))))
        assert torch.allclose(answers["logits"][rows], found, atol=1e-4)


def test_the_shipped_network_is_the_one_without_the_kept_out_fold(trained, cases):
    trial = Trial(trained.work, "base", cases, Recipe(), str(trained.start), 0)
    shipped, source = load_model_folder(trained.model), trial.network(KEPT_OUT)
    for name, tensor in shipped.network.state_dict().items():
        if not name.startswith("fc.") and tensor.is_floating_point():  # batches are not counted in a model folder
            assert torch.equal(tensor, source.state_dict()[name].half().float())
    made = shipped.contract.training
    calibration = Calibration(1.0, made["benign_normal_contrast"], np.array(made["class_bias"]))
    expected = calibration.correct(source(probe := torch.randn(2, 3, 64, 64)).detach().double().numpy())
    assert np.allclose(shipped.network(probe).detach().numpy(), expected, atol=1e-2)


def test_decisions_are_set_anew_from_the_folder_alone_as_shipping_sets_them(trained, tmp_path, run_here):
    model = shutil.copytree(trained.model, tmp_path / "model")
    shipped = load_model_folder(model).contract
    replace(shipped, refer_below=dict.fromkeys(CLASSES, 0.1), metrics={}).write(model)
    assert run_here("train", "decide", "--data", trained.data, "--out", model)[0] == 0
    assert load_model_folder(model).contract == shipped


def test_finished_folds_are_not_trained_again(trained, run_here):
    answers = trained.work / "base" / "fold-1.answers"
    before = answers.stat().st_mtime_ns
    command = ("train", "cv", "--data", trained.data, "--init", trained.start, "--work", trained.work, "--recipe")
    assert run_here(*command, RECIPE)[0] == 0
    assert answers.stat().st_mtime_ns == before
    for otherwise in (("{}",), (RECIPE, "--seed", 1)):
        code, said = run_here(*command, *otherwise)
        assert code == 2
        assert "begun otherwise" in said


def test_a_model_is_not_shipped_with_another_seed_which_would_mix_up_the_folds(trained, tmp_path, run_here):
    place = ("--data", trained.data, "--init", trained.start, "--work", trained.work, "--out", tmp_path)
    code, said = run_here("train", "ship", *place, "--version", "8", "--seed", 1)
    assert code == 2
    assert "begun otherwise" in said


def test_a_model_is_not_shipped_without_a_version_of_its_own(tmp_path, run_here, capsys):
    with pytest.raises(SystemExit, match="2"):
        run_here("train", "ship", "--data", tmp_path, "--out", tmp_path / "model")
    assert "ship needs --version" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_the_trial_table_has_a_row_with_scores(trained):
    rows = json.loads((trained.model / TRIALS).read_text())
    row = next(r for r in rows if r["trial"] == "base")
    assert row["folds"] == list(range(FOLDS))
    assert 0 <= row["balanced_accuracy"] <= 1
    assert set(row["common"]) < set(row)
    assert row["common"] != {key: row[key] for key in row["common"]}


def test_the_trial_table_can_be_written_without_shipping_again(trained, tmp_path, run_here):
    known = [{"trial": "long ago", "folds": [0]}, {"trial": "base", "folds": []}]
    (tmp_path / TRIALS).write_text(json.dumps(known))
    place = ("--data", trained.data, "--init", trained.start, "--work", trained.work, "--out", tmp_path)
    assert run_here("train", "list", *place)[0] == 0
    rows = {row["trial"]: row["folds"] for row in json.loads((tmp_path / TRIALS).read_text())}
    assert rows["long ago"] == [0]
    assert rows["base"] == list(range(FOLDS))
    assert [path.name for path in tmp_path.iterdir()] == [TRIALS]


def test_start_weights_fill_all_but_the_last_layer(trained):
    start = torch.load(trained.start, weights_only=True)
    network = build_network(str(trained.start))
    assert torch.equal(network.layer4[1].conv2.weight, start["layer4.1.conv2.weight"])
    assert not torch.equal(network.fc.weight, start["fc.weight"])


def test_a_recipe_names_what_differs_and_an_unknown_name_is_refused(trained, run_here):
    assert read_recipe('{"lr": 0.1, "schedule": [[1, 96]]}') == Recipe(lr=0.1, schedule=((1, 96),))
    code, said = run_here("train", "cv", "--data", trained.data, "--recipe", '{"speed": 1}')
    assert code == 2
    assert "speed" in said


def test_data_without_a_table_is_refused_in_a_sentence(tmp_path, run_here):
    code, said = run_here("train", "cv", "--data", tmp_path)
    assert code == 2
    assert "has no cases.csv" in said


def test_softmax_at_a_higher_temperature_is_less_confident():
    logits = np.array([[2.0, 0.0, -1.0]])
    assert softmax(logits, 3.0).max() < softmax(logits, 1.0).max()


def test_mixing_blends_slices_and_labels_alike():
    inputs, labels = torch.eye(4)[:, None, None].expand(4, 3, 8, 4).contiguous(), torch.tensor([0, 1, 2, 0])
    same, untouched = build_mixing(Recipe())(inputs, labels)
    assert torch.equal(same, inputs)
    assert torch.equal(untouched, labels)
    torch.manual_seed(1)
    mixed, shares = build_mixing(Recipe(mixup=1.0))(inputs, labels)
    assert torch.allclose(mixed.sum(-1), torch.ones(4, 3, 8))
    assert torch.allclose(shares.sum(1), torch.ones(4))
    assert ((shares > 0) & (shares < 1)).any()
    cut, _ = build_mixing(Recipe(cutmix=1.0))(inputs, labels)
    assert set(cut.unique().tolist()) <= {0.0, 1.0}
    assert not torch.equal(cut, inputs)


def test_a_network_that_saw_only_lungs_is_not_shipped(trained, cases, tmp_path):
    trial = Trial(tmp_path / "work", "lungs", cases, Recipe(lungs=True), str(trained.start), 0)
    with pytest.raises(ValueError, match="whole slices"):
        ship(trial, tmp_path / "model", "1.0")
    assert not (tmp_path / "model").exists()
