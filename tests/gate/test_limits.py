"""What a chest slice is at any field of view and resolution; each limit says what is wrong, and nothing else."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from lungct.errors import LungCTError
from lungct.gate.body import outline
from lungct.gate.checks import (
    COARSE,
    COLOURED,
    CUT,
    CUT_LIMITS,
    FARTHER,
    LEAST_SIDE,
    LIMITS,
    OTHER_WINDOW,
    WHOLE_LIMITS,
    check_body,
    check_colour,
    check_features,
    check_resolution,
    measure_sharpness,
)
from lungct.model import Statistics
from lungct.model.preprocess import to_input
from lungct.pipeline import Job
from lungct.window import LUNG, Window
from lungct_tools.modelling.copies import COPIES, FIELDS, crop
from lungct_tools.phantom.anatomy import draw_slice
from tests.support.dicoms import read
from tests.support.pictures import encode

PHANTOM = LUNG.render(draw_slice(3, "smooth"))


def as_input(pixels):
    return to_input(pixels, 224, "pad", LUNG.air)


def sharpness(pixels):
    inputs = as_input(pixels)
    return measure_sharpness(inputs, outline(inputs))


def sides():
    """(whether the body is cut, measure, a value beyond a limit of it, what is to be said) of every side of a limit."""
    for cut, limits in ((False, (*LIMITS, *WHOLE_LIMITS)), (True, (*LIMITS, *CUT_LIMITS))):
        for limit in limits:
            if limit.under:
                yield cut, limit.measure, limit.least - 0.01, limit.under
            if limit.over:
                yield cut, limit.measure, limit.most + 0.01, limit.over


@pytest.mark.parametrize(("cut", "measure", "value", "said"), list(sides()))
def test_each_side_of_each_limit_has_a_sentence_of_its_own(cut, measure, value, said):
    body = outline(as_input(PHANTOM))._replace(edge_share=1.0 if cut else 0.0)
    assert check_body(body) == ()
    with pytest.raises(LungCTError) as caught:
        check_body(body._replace(**{measure: value}))
    assert {other for *_, other in sides() if other in caught.value.message} == {said}


def test_a_picture_much_of_which_is_coloured_is_no_slice_and_one_that_is_drawn_on_is():
    check_colour(COLOURED)
    with pytest.raises(LungCTError, match="coloured"):
        check_colour(COLOURED + 0.01)
    colours = np.stack([PHANTOM] * 3, axis=2)
    assert read(encode(colours, "PNG")).coloured == 0
    colours[:64, :, 2] = 255 - colours[:64, :, 2]
    assert 0.1 < read(encode(colours, "PNG")).coloured <= 0.125


def test_a_slice_with_the_gray_levels_of_the_lung_window_may_lie_farther_from_the_training_data():
    known = Statistics(np.eye(4, dtype=np.float32), np.zeros((1, 4), np.float32), refer_above=1, refuse_above=2)
    far = 2.5 * np.eye(4, dtype=np.float32)[0]
    assert not check_features(far, known)
    with pytest.raises(LungCTError):
        check_features(far, known, (OTHER_WINDOW,))
    with pytest.raises(LungCTError):
        check_features(far * FARTHER, known)


def test_dark_regions_that_are_no_lungs_are_named_as_such():
    body = outline(as_input(PHANTOM))
    with pytest.raises(LungCTError, match="no air-filled lungs"):
        check_body(body._replace(lung=body.tissue - 50))


@pytest.mark.parametrize("share", FIELDS)
@pytest.mark.parametrize("seed", range(6))
def test_a_field_of_view_that_cuts_the_body_is_no_reason_to_refuse(seed, share):
    pixels = LUNG.render(draw_slice(seed, "spiculated"))
    cut = crop(pixels, share, np.random.default_rng(seed))
    body = outline(as_input(cut))
    assert body.edge_share > CUT
    assert check_body(body) == ()
    assert body.lung_share >= 0.1


def test_lungs_that_the_picture_cuts_are_lungs_and_the_air_beside_the_body_is_none():
    square = PHANTOM[100:400, 180:480]
    for cut in (square, square[:, :200], square[:200]):  # what is not square is padded with air
        body = outline(as_input(cut))
        assert body.lung_share > 0.1
        assert check_body(body) == ()
    whole = outline(as_input(PHANTOM))
    rows, columns = np.nonzero(whole.lungs)
    assert 0 < rows.min() <= rows.max() < whole.lungs.shape[0] - 1
    assert 0 < columns.min() <= columns.max() < whole.lungs.shape[1] - 1
    shifted = outline(as_input(Window(-600, 1500).render(draw_slice(3, "smooth"))))  # where air is brighter
    assert shifted.lung_share == pytest.approx(whole.lung_share, abs=0.03)


def test_the_network_and_its_gate_see_the_same_slice_at_every_resolution_that_is_trusted():
    pixels = cv2.GaussianBlur(PHANTOM, (0, 0), 3)
    for side in (LEAST_SIDE, 512, 700, 1024):
        copy = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC))
        assert np.abs(as_input(copy).astype(int) - as_input(pixels)).mean() < 0.6, side
        assert sharpness(copy) == pytest.approx(sharpness(pixels), rel=0.1), side


@pytest.mark.parametrize(
    ("shape", "coarse"),
    [((512, 512), False), ((331, 506), False), ((LEAST_SIDE, 9), False), ((LEAST_SIDE - 1,) * 2, True), ((9, 9), True)],
)
def test_a_picture_of_few_pixels_is_referred_whatever_it_shows(shape, coarse):
    assert check_resolution(shape) == ((COARSE,) if coarse else ())


def test_a_picture_whose_pixels_are_coarse_one_way_is_of_few_pixels(pipeline):
    body = encode(np.ascontiguousarray(PHANTOM[:, ::2]), "PNG", dpi=(100, 200))
    found = json.loads(pipeline.score([Job({"body": body}, {})]).replies[0].body)
    assert found["input"]["resampled"] == [512, 512]
    assert COARSE in found["warnings"]


def test_there_are_eight_kinds_of_worse_copies_and_all_of_them_still_are_slices():
    assert len(COPIES) == 8
    for name, change in COPIES.items():
        copy = change(PHANTOM)
        assert copy.dtype == np.uint8
        assert not np.array_equal(copy, PHANTOM)
        assert check_body(outline(as_input(copy))) in ((), (OTHER_WINDOW,)), name


@pytest.mark.data
@pytest.mark.parametrize("window", [LUNG, Window(-600, 1500), Window(-550, 1600)], ids=str)
def test_a_real_series_is_accepted_at_lung_windows_whole_and_cropped(data, window):
    rng = np.random.default_rng(0)
    for path in sorted((data / "dicom" / "lidc_0001").iterdir()):
        pixels = read(path.read_bytes(), window).pixels
        check_body(outline(as_input(pixels)))
        for share in FIELDS:
            body = outline(as_input(crop(pixels, share, rng)))
            if body.lung_share >= 0.1:
                check_body(body)


@pytest.mark.data
def test_a_real_slice_at_a_window_that_makes_lung_as_black_as_air_is_refused_and_told_the_right_one(data):
    path = min((data / "dicom" / "lidc_0001").iterdir())
    with pytest.raises(LungCTError, match="centre -500, width 1500"):
        check_body(outline(as_input(read(path.read_bytes(), Window(40, 400)).pixels)))
