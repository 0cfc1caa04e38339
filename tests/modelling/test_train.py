"""Training by pasting: it goes on where it was stopped, and becomes a folder that says how it was made."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image

from lungct.engines.torch import TorchEngine
from lungct.model.folder import load_model_folder
from lungct.pipeline import Job, Pipeline
from lungct.pixels.raster import ORIENTATION
from lungct.settings import Settings as ServerSettings
from lungct.window import LUNG
from lungct_tools.modelling.dataset import CLASSES, NORMAL, TABLE, read_cases
from lungct_tools.modelling.decision import (
    NEVER,
)
from lungct_tools.modelling.pasting.backgrounds import is_kept_out, prepare, take_normal
from lungct_tools.modelling.pasting.generator import Generator
from lungct_tools.modelling.pasting.nodules import read_nodules
from lungct_tools.modelling.pasting.settings import Settings
from lungct_tools.modelling.pasting.start import Start, read_start
from lungct_tools.modelling.pasting.training import (
    CHECKPOINT,
    LOG,
    Recipe,
    Trainer,
    measure_loss,
    read_recipe,
)
from lungct_tools.modelling.shipping import JUDGED, Material, check_kept_out
from lungct_tools.phantom.anatomy import draw_slice
from tests.support.dicoms import HU, build_ct
from tests.support.madeup import RECIPE, make_start
from tests.support.pictures import encode, encode_tiff


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

    pipeline = Pipeline(folder, Spy(folder, torch.device("cpu")), ServerSettings(), threads=1)
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


@pytest.fixture(scope="module")
def generator(nodules):
    backgrounds = [prepare(LUNG.render(draw_slice(seed, "none", 256)), f"iq:{seed}") for seed in range(3)]
    return Generator(backgrounds, read_nodules(nodules), Settings(), 0)


SHORT = Recipe(views=((8, 64), (8, 96)), batch=4)


def make_trainer(generator, folder, recipe=SHORT, start="start.pth"):
    torch.manual_seed(0)
    network = read_start(str(make_start(folder.parent / "start.pth"))).network
    return Trainer(Start(network, start), generator, recipe, folder, 0)


def test_a_training_that_was_stopped_goes_on_to_the_very_same_weights(generator, tmp_path, monkeypatch):
    whole = make_trainer(generator, tmp_path / "whole").run()
    broken = make_trainer(generator, tmp_path / "broken")
    learn = broken._learn

    def stop_after_three(*batch):
        if broken.step == 3:
            broken.save()
            raise KeyboardInterrupt
        return learn(*batch)

    monkeypatch.setattr(broken, "_learn", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    resumed = make_trainer(generator, tmp_path / "broken")
    assert resumed.step == 3
    found = resumed.run()
    assert resumed.step == SHORT.steps == 4
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, found.state_dict()[name]), name


def test_a_checkpoint_of_another_recipe_is_refused(generator, tmp_path):
    make_trainer(generator, tmp_path / "run").save()
    with pytest.raises(ValueError, match="another recipe"):
        make_trainer(generator, tmp_path / "run", replace(SHORT, lr=1e-3))


def test_what_a_resumed_training_began_with_is_not_told_otherwise(generator, tmp_path):
    make_trainer(generator, tmp_path / "run").save()
    with pytest.raises(ValueError, match=r"began with --init start\.pth"):
        make_trainer(generator, tmp_path / "run", start="imagenet")


def test_what_is_before_layer2_stays_as_it_was_and_what_is_after_learns(generator, tmp_path, monkeypatch):
    monkeypatch.setattr("lungct_tools.modelling.pasting.training.LOGGED_EVERY", 1)
    trainer = make_trainer(generator, tmp_path / "run")
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    trainer.run()
    changed = {name for name, tensor in trainer.network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert not [name for name in changed if name.startswith(("conv1", "bn1", "layer1"))]
    assert {"layer2.0.conv1.weight", "layer4.1.conv2.weight", "fc.weight", "fc.bias"} <= changed
    lines = [json.loads(line) for line in (tmp_path / "run" / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(line["loss"] > 0 <= line["seconds"] for line in lines)


def test_the_loss_falls_where_evidence_is_on_the_nodule_and_rises_where_it_is_away():
    recipe, labels = Recipe(), torch.tensor([1])
    shares = torch.zeros(1, 3, 7, 7)
    shares[0, 1, 2, 2] = 0.8
    flat = torch.zeros(1, 3, 7, 7)
    on, both, normal_away = flat.clone(), flat.clone(), flat.clone()
    on[0, 1, 2, 2] = both[0, 1, 2, 2] = both[0, 1, 6, 6] = normal_away[0, 2, 6, 6] = 4
    found, more, nothing = (float(measure_loss(evidence, labels, shares, recipe)) for evidence in (on, both, flat))
    assert found < more < nothing
    apart = replace(recipe, own=0.0)
    plain = measure_loss(normal_away, labels, shares, apart) - measure_loss(normal_away, labels, shares * 0, apart)
    assert abs(float(plain)) < 0.1, "evidence for Normal may lie anywhere"


def test_a_trained_folder_verifies_and_states_how_it_was_made(trained):
    contract = load_model_folder(trained.model).contract
    assert contract.version == "7"
    assert contract.pooling == ("lse", 6.0)
    assert contract.judged == JUDGED
    made = contract.training
    assert made["recipe"] == json.loads(json.dumps(asdict(read_recipe(RECIPE))))
    assert made["nodules"] + sum(is_kept_out(f"P{n}") for n in range(24)) == 24
    assert contract.refer_below == dict.fromkeys(CLASSES, NEVER)  # so few slices support no threshold
    assert 0 < contract.gate["refer_above"] <= contract.gate["refuse_above"]
    assert made["init"] == trained.start.name


def test_a_finished_training_is_not_begun_again_unless_asked_to_go_on(trained, tmp_path, run_here):
    work = shutil.copytree(trained.work, tmp_path / "work")
    place = ("--data", trained.data, "--nodules", trained.nodules, "--init", trained.start, "--work", work)
    end = ("--out", tmp_path / "model", "--recipe", RECIPE, "--version", "8")
    code, said = run_here("train", *place, *end)
    assert (code, "--resume" in said) == (2, True)
    before = torch.load(work / CHECKPOINT, weights_only=True)["step"]
    assert run_here("train", *place, *end, "--resume")[0] == 0
    assert torch.load(work / CHECKPOINT, weights_only=True)["step"] == before
    assert load_model_folder(tmp_path / "model").contract.version == "8"
    code, said = run_here("train", *place, *end[:2], "--version", "8", "--resume")
    assert (code, "another recipe" in said) == (2, True)


def test_kept_out_cases_and_patients_are_in_no_training_and_all_others_are(trained):
    cases = read_cases(trained.data)
    whole = Material(list(take_normal(cases)), read_nodules(trained.nodules))
    seen, unseen = whole.split(kept_out=False), whole.split(kept_out=True)
    assert not {b.group for b in seen.backgrounds} & {b.group for b in unseen.backgrounds}
    assert not set(seen.nodules.patients) & set(unseen.nodules.patients)
    assert len(seen.backgrounds) + len(unseen.backgrounds) == int((cases.labels == NORMAL).sum())
    assert len(seen.nodules.labels) + len(unseen.nodules.labels) == len(whole.nodules.labels)


def test_a_recipe_names_what_differs_and_an_unknown_name_is_refused(trained, tmp_path, run_here):
    assert read_recipe('{"lr": 0.1, "views": [[32, 96]]}') == Recipe(lr=0.1, views=((32, 96),))
    assert read_recipe('{"images": {"level": 0}}').images == replace(Settings(), level=0)
    place = ("--data", trained.data, "--nodules", trained.nodules, "--work", tmp_path)
    code, said = run_here("train", *place, "--version", "1", "--recipe", '{"speed": 1}')
    assert code == 2
    assert "speed" in said


def test_data_without_a_table_is_refused_in_a_sentence(tmp_path, run_here):
    code, said = run_here("train", "--data", tmp_path, "--version", "1", "--work", tmp_path / "work")
    assert code == 2
    assert "has no cases.csv" in said


def test_where_nothing_is_kept_out_that_is_told_before_a_training(generator):
    material = Material(generator.backgrounds, generator.nodules)
    trained_on = material.split(kept_out=False)
    with pytest.raises(ValueError, match="kept out"):
        check_kept_out(trained_on)
