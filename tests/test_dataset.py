import cv2
import numpy as np
import pytest
import torch
from lungct.preprocess import to_input
from lungct.window import LUNG

from scripts.anatomy import draw_slice
from scripts.modelling.dataset import CLASSES, Cases, augmentation, crop_to_lungs, read_cases, split_by_case
from tests.madeup import CASES, SLICES


def test_cases_are_read_with_labels_in_the_order_of_the_logits(made):
    cases = read_cases(made)
    assert len(cases.files) == len(CLASSES) * CASES * SLICES
    assert [CLASSES[label] for label in cases.labels[:: CASES * SLICES]] == list(CLASSES)
    assert cases.slices[0].dtype == np.uint8


def test_the_folder_above_may_be_named(made):
    assert read_cases(made.parent).files == read_cases(made).files


@pytest.mark.parametrize(
    ("table", "sentence"),
    [("file,label,pseudo_case\n", "no rows"), ("file,label,pseudo_case\na.png,odd,0\n", "odd")],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, table, sentence):
    (tmp_path / "cases.csv").write_text(table)
    with pytest.raises(ValueError, match=sentence):
        read_cases(tmp_path)


def test_inputs_are_what_the_server_would_make_of_the_slices(made):
    cases = read_cases(made)
    rows = np.array([4, 1])
    expected = [to_input(cases.slices[row], 224, "pad", LUNG.air) for row in rows]
    assert np.array_equal(cases.inputs(rows, 224), np.stack(expected))


@pytest.mark.parametrize("top", [0, 20])
def test_a_crop_to_the_lungs_holds_them_and_little_else(top):
    pixels = LUNG.render(draw_slice(0, "none", 256))[top:].copy()
    pixels[pixels == 60] = 61
    regions = cv2.connectedComponents((pixels < 128).astype(np.uint8))[1]
    edge = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    lungs = ~np.isin(regions, [0, *edge])
    pixels[lungs] = 60
    cropped = crop_to_lungs(pixels)
    assert lungs.sum() > 5000
    assert (cropped == 60).sum() > 0.98 * lungs.sum()
    assert cropped.size < 0.6 * pixels.size


def test_a_slice_without_lungs_is_left_whole():
    blank = np.full((64, 48), LUNG.air, np.uint8)
    assert np.array_equal(crop_to_lungs(blank), blank)


def test_a_split_keeps_cases_whole_and_every_class_in_every_fold():
    labels = np.repeat([0, 1, 2], 100)
    cases = Cases([""] * 300, labels, np.repeat(np.arange(60), 5), [])
    folds = split_by_case(cases, 5, seed=0)
    assert all(len(set(folds[cases.groups == case])) == 1 for case in range(60))
    assert all(set(labels[folds == fold]) == {0, 1, 2} for fold in range(5))
    assert np.array_equal(folds, split_by_case(cases, 5, seed=0))
    assert not np.array_equal(folds, split_by_case(cases, 5, seed=1))


def test_augmented_views_differ_and_keep_shape_and_type():
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (1, 256, 256), dtype=torch.uint8)
    first, second = (augmentation(96, jitter=0.2)(pixels) for _ in range(2))
    assert first.shape == second.shape == (1, 96, 96)
    assert first.dtype == torch.uint8
    assert not torch.equal(first, second)


def test_noise_has_the_strength_that_was_asked_for():
    flat = torch.full((1, 256, 256), 128, dtype=torch.uint8)
    noisy = augmentation(96, jitter=0.0, noise=0.04)(flat)[0, 30:66, 30:66]  # the middle: air may come in at the sides
    assert noisy.dtype == torch.uint8
    assert noisy.float().std() / 255 == pytest.approx(0.04, rel=0.1)
