import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from lungct.engines.torch import TorchEngine
from lungct.errors import LungCTError
from lungct.gate.body import outline
from lungct.gate.checks import (
    FARTHER,
    GATE_OFF,
    LITTLE,
    LITTLE_LUNG,
    NO_GATE,
    OTHER_SCAN,
    OTHER_WINDOW,
    SMOOTH,
    UNKNOWN_SCAN,
    UNLIKE,
    check_body,
    check_features,
    is_trusted,
    measure_sharpness,
)
from lungct.model import Statistics
from lungct.model.preprocess import to_input
from lungct.pipeline import Job, Pipeline
from lungct.settings import Settings
from lungct.window import LUNG, Window
from lungct_tools.modelling.gatekeeping import (
    REFER_SHARE,
    REFUSE_MARGIN,
    REFUSE_SHARE,
    fit_gate,
    measure_distances,
    set_thresholds,
)
from lungct_tools.phantom.anatomy import NODULES, draw_slice
from lungct_tools.phantom.files import encode_dicom
from tests.support.pictures import encode


def as_input(pixels):
    return to_input(pixels, 224, "pad", LUNG.air)


def refusal(pixels):
    with pytest.raises(LungCTError) as caught:
        check_body(outline(as_input(pixels)))
    assert caught.value.code == "not_a_ct_slice"
    return caught.value.message


def answer(pipeline, body, **headers):
    reply = pipeline.score([Job({"body": body}, {name.replace("_", "-"): v for name, v in headers.items()})]).replies[0]
    return reply, json.loads(reply.body)


@pytest.fixture(scope="module")
def ungated(folder):
    bare = replace(folder, gate=None)
    return Pipeline(bare, TorchEngine(bare, torch.device("cpu")), Settings(), threads=1)


@pytest.fixture(scope="module")
def photo():
    """A bright picture of nothing: smooth blobs of all sizes, in colour."""
    rng = np.random.default_rng(3)
    small = [
        np.asarray(Image.fromarray(rng.integers(0, 256, (n, n, 3), dtype=np.uint8)).resize((500, 375))) for n in (4, 60)
    ]
    return encode(np.mean(small, axis=0).astype(np.uint8), "JPEG", quality=92)


@pytest.mark.parametrize("nodule", NODULES)
@pytest.mark.parametrize("seed", range(4))
def test_phantoms_of_all_kinds_pass_the_pixel_check_without_a_warning(seed, nodule):
    assert check_body(outline(as_input(LUNG.render(draw_slice(seed, nodule, 256))))) == ()


def test_pictures_without_a_chest_are_refused_and_told_what_is_missing():
    rows, columns = np.mgrid[:256, :256]
    disc = np.where(np.hypot(rows - 128, columns - 128) < 100, 210, 38).astype(np.uint8)
    assert "blank" in refusal(np.full((256, 256), 120, np.uint8))
    assert "no lungs" in refusal(disc)
    assert "deeper than it is wide" in refusal(np.rot90(LUNG.render(draw_slice(0, size=256))).copy())
    assert refusal(np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8))


def test_a_slice_at_another_window_keeps_its_shape_and_gets_a_warning():
    hu = draw_slice(1, size=256)
    assert check_body(outline(as_input(Window(0, 2000).render(hu)))) == (OTHER_WINDOW,)


@pytest.mark.parametrize("cells", [7, 14, 10], ids=["of 224 pixels", "of 448", "of 320"])
def test_evidence_outside_the_body_is_told_from_evidence_inside(cells):
    body = outline(as_input(LUNG.render(draw_slice(0, size=256))))
    corner, middle = np.zeros((2, cells, cells), np.float32)
    corner[0, 0], middle[cells // 2, cells // 2] = 1, 1
    assert body.outside(corner) == 1
    assert body.outside(middle) == pytest.approx(0, abs=1e-6)
    assert body.outside(corner + 3 * middle) == pytest.approx(0.25)
    assert body.outside(middle - 9 * corner) == pytest.approx(0, abs=1e-6)


def test_the_distance_counts_class_spread_and_the_thresholds_cost_what_they_say():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 300)
    spread = np.linspace(0.1, 2, 8)
    features = (5 * np.eye(3, 8)[labels] + rng.normal(0, spread, (900, 8))).astype(np.float32)
    fresh = (5 * np.eye(3, 8)[labels] + rng.normal(0, spread, (900, 8))).astype(np.float32)
    gate = set_thresholds(fit_gate(features, labels), fresh)
    distances = measure_distances(gate, fresh)
    assert (distances > gate.refer_above).mean() == pytest.approx(REFER_SHARE, abs=0.005)
    assert (distances * REFUSE_MARGIN > gate.refuse_above).mean() == pytest.approx(REFUSE_SHARE, abs=0.003)
    narrow, wide = fresh[0].copy(), fresh[0].copy()
    narrow[0] += 6  # the same step is far along a narrow axis, near along a wide one
    wide[7] += 6
    assert gate.measure(narrow) > 3 * gate.measure(wide)


def test_features_between_the_two_distances_are_referred_and_beyond_them_refused():
    known = Statistics(np.eye(4, dtype=np.float32), np.zeros((1, 4), np.float32), refer_above=1, refuse_above=2)
    at = np.eye(4, dtype=np.float32)[0]
    assert check_features(0.9 * at, known)
    assert not check_features(1.5 * at, known)
    with pytest.raises(LungCTError, match="does not look like"):
        check_features(2.1 * FARTHER * at, known)


def test_the_server_accepts_phantoms_and_refuses_a_photo_beside_them(pipeline, slices, photo):
    jobs = [Job({"body": body}, {}) for body in (slices[0], photo, slices[1])]
    first, refused, last = pipeline.score(jobs).replies
    assert (refused.status, refused.label) == (422, "not_a_ct_slice")
    alone = [pipeline.score([job]).replies[0] for job in (jobs[0], jobs[2])]
    for together, solo in zip((first, last), alone, strict=True):
        assert together.status == 200
        assert json.loads(together.body)["label"] == json.loads(solo.body)["label"]


@pytest.mark.parametrize(("nodule", "unlike"), [("spiculated", True), ("none", False)])
def test_the_slices_of_demo_and_canary_are_accepted_and_the_demos_is_told_to_be_drawn_unlike_any(
    pipeline, nodule, unlike
):
    reply, document = answer(pipeline, encode_dicom(draw_slice(5, nodule)))
    assert reply.status == 200
    assert (UNLIKE in document["warnings"]) == unlike


def test_with_the_gate_off_whatever_comes_is_scored_and_referred(folder, photo):
    sure = replace(folder, contract=replace(folder.contract, refer_below=dict.fromkeys(folder.contract.classes, 0.0)))
    pipeline = Pipeline(sure, TorchEngine(sure, torch.device("cpu")), Settings(), threads=1)
    for body in (photo, encode(LUNG.render(draw_slice(5, "none")), "PNG")):
        reply, document = answer(pipeline, body, X_Gate="off")
        assert (reply.status, document["decision"]) == (200, "refer")
        assert GATE_OFF in document["warnings"]
    assert answer(pipeline, body)[1]["decision"] == "report"
    assert answer(pipeline, photo, X_Gate="maybe")[0].label == "bad_option"


def test_no_refusal_recommends_to_turn_the_gate_off(pipeline, photo):
    assert "gate" not in answer(pipeline, photo)[1]["message"].lower()


def test_a_model_without_a_gate_scores_everything_refers_it_and_says_so(ungated, photo):
    reply, document = answer(ungated, photo)
    assert (reply.status, document["decision"]) == (200, "refer")
    assert NO_GATE in document["warnings"]


def test_a_slice_unlike_the_training_data_is_referred_however_confident(folder, slices):
    strict = folder.gate._replace(refer_above=0.0, refuse_above=1e9)
    changed = replace(folder, gate=strict)
    pipeline = Pipeline(changed, TorchEngine(changed, torch.device("cpu")), Settings(), threads=1)
    _, document = answer(pipeline, slices[0])
    assert document["decision"] == "refer"
    assert UNLIKE in document["warnings"]


def smooth(pixels, sigma):
    return cv2.GaussianBlur(pixels, (0, 0), sigma)


def test_sharpness_falls_with_smoothing_and_not_with_contrast():
    pixels = LUNG.render(draw_slice(0, "none"))

    def measure(changed):
        return measure_sharpness(inputs := as_input(changed), outline(inputs))

    falling = [measure(smooth(pixels, sigma)) for sigma in (0.1, 1, 2, 4)]
    assert falling == sorted(falling, reverse=True)
    assert falling[2] < 0.6 * falling[0]
    assert measure((pixels // 2 + 60).astype(np.uint8)) == pytest.approx(falling[0], rel=0.15)
    assert measure_sharpness(np.zeros((1, 224, 224), np.uint8), outline(as_input(pixels))) == 0


def test_a_slice_smoother_than_any_that_was_judged_is_referred_and_told_so(folder):
    pipeline = Pipeline(folder, TorchEngine(folder, torch.device("cpu")), Settings(), threads=1)
    sharp = LUNG.render(draw_slice(5, "spiculated"))
    for pixels, referred in ((sharp, False), (smooth(sharp, 2), True)):
        reply, document = answer(pipeline, encode(pixels, "PNG"))
        assert reply.status == 200
        assert (SMOOTH in document["warnings"]) == referred
        assert document["decision"] == "refer" or not referred
    assert SMOOTH not in answer(pipeline, encode(smooth(sharp, 2), "PNG"), X_Gate="off")[1]["warnings"]


def test_little_lung_is_told_and_keeps_malignant_and_no_other_class_from_being_reported():
    body = outline(as_input(LUNG.render(draw_slice(0, size=256))))
    assert check_body(body._replace(lung_share=LITTLE - 0.01)) == (LITTLE_LUNG,)
    assert check_body(body._replace(lung_share=LITTLE + 0.01)) == ()
    assert [is_trusted([LITTLE_LUNG], name) for name in ("Benign", "Malignant", "Normal")] == [True, False, True]
    assert not any(is_trusted([warning], "Normal") for warning in (UNLIKE, SMOOTH, OTHER_SCAN))
    assert is_trusted([UNKNOWN_SCAN, OTHER_WINDOW], "Malignant")


def test_a_heatmap_reply_tells_the_share_outside_the_body_and_the_completeness_error(pipeline, slices):
    _, document = answer(pipeline, slices[0], X_Heatmap="always", X_Heatmap_Format="grid")
    heatmap = document["heatmap"]
    evidence = np.array(heatmap["grids"][heatmap["class"]], np.float32)
    body = outline(as_input(LUNG.render(draw_slice(0, "none"))))
    assert heatmap["outside_body"] == pytest.approx(body.outside(evidence), abs=1e-3)
    assert 0 <= heatmap["completeness_error"] < 1e-4


@pytest.mark.data
@pytest.mark.parametrize(("kind", "most"), [("photo", 0.02), ("xray", 0.02), ("mri", 0.02), ("brain_ct", 0.10)])
def test_pictures_that_are_no_chest_ct_do_not_pass(pipeline, data, kind, most):
    files = sorted((data / "not_ct" / kind).iterdir())
    found = [answer(pipeline, path.read_bytes()) for path in files]
    passed = [reply.status == 200 and (kind != "brain_ct" or UNLIKE not in doc["warnings"]) for reply, doc in found]
    assert np.mean(passed) <= most


@pytest.mark.data
def test_slices_of_another_scanner_are_accepted(pipeline, data):
    for path in sorted((data / "dicom" / "lidc_0001").iterdir()):
        reply, document = answer(pipeline, path.read_bytes())
        assert reply.status == 200, path.name
        assert SMOOTH not in document["warnings"], path.name
