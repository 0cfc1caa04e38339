import re
import shutil

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from lungct.model.preprocess import to_input
from lungct.window import LUNG
from lungct_tools.modelling.dataset import (
    CLASSES,
    TABLE,
    Cases,
    augmentation,
    crop_to_lungs,
    draw_balanced,
    read_cases,
    read_slice,
    split_by_case,
    write_table,
)
from lungct_tools.modelling.lookalikes import correlate_slices, group_slices
from lungct_tools.phantom.anatomy import draw_slice
from tests.support.madeup import CASES, SLICES


@pytest.fixture(scope="module")
def without_cases(made, tmp_path_factory):
    """The made-up data as one has it who knows no patients: its table has no column pseudo_case."""
    folder = shutil.copytree(made, tmp_path_factory.mktemp("without") / "data")
    (folder / TABLE).write_text(re.sub(r",[^,]*$", "", (folder / TABLE).read_text(), flags=re.MULTILINE))
    return folder


def test_cases_are_read_with_labels_in_the_order_of_the_logits(made):
    cases = read_cases(made)
    assert len(cases.files) == len(CLASSES) * CASES * SLICES
    assert [CLASSES[label] for label in cases.labels[:: CASES * SLICES]] == list(CLASSES)
    assert cases.slices[0].dtype == np.uint8


def test_the_folder_above_may_be_named(made):
    assert read_cases(made.parent).files == read_cases(made).files


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("file,label,pseudo_case\n", "no rows"),
        ("file,label,pseudo_case\na.png,odd,0\n", "odd"),
        ("name,label\na.png,normal\n", "needs file in every row"),
        ("file,label,pseudo_case\na.png\n", "needs label in every row"),
        ("file,label,pseudo_case\na.png,normal,\n", "a number as pseudo_case"),
        ("file,label,pseudo_case\na.png,normal,first\n", "a number as pseudo_case"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, table, sentence):
    (tmp_path / "cases.csv").write_text(table)
    with pytest.raises(ValueError, match=sentence):
        read_cases(tmp_path)


def test_without_cases_in_the_table_slices_that_look_alike_are_one_case(made, without_cases):
    known, found = read_cases(made), read_cases(without_cases)
    assert known.given
    assert not found.given
    alike = group_slices(correlate_slices(known.slices), known.files, known.labels)
    assert np.array_equal(found.groups, alike)
    assert not np.array_equal(found.groups, known.groups), "the made-up table has cases of its own"


def test_a_table_that_was_written_is_read_as_it_was(made, without_cases, tmp_path):
    shutil.copytree(without_cases, tmp_path / "data")
    written = read_cases(without_cases)
    write_table(tmp_path / "data" / TABLE, written)
    again = read_cases(tmp_path / "data")
    assert again.given
    assert (again.files, again.labels.tolist()) == (written.files, written.labels.tolist())
    assert again.groups.tolist() == written.groups.tolist()


def test_a_file_that_the_server_would_refuse_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / TABLE).write_text("file,label\na.png,normal\n")
    with pytest.raises(ValueError, match=r"a\.png: "):
        read_cases(tmp_path)


@pytest.mark.data
def test_the_servers_decoder_gives_the_pixels_of_the_real_slices_that_the_shipped_model_was_trained_on(data):
    """Until version 1.2 training had a decoder of its own: Pillow's convert("L")."""
    files = sorted((data / "iq_othnccd").rglob("*.jpg"))[::29]
    assert len(files) == 30
    for path in files:
        assert np.array_equal(read_slice(path), np.asarray(Image.open(path).convert("L")))


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


def test_kernels_smooth_half_of_the_views_and_sharpen_a_quarter():
    torch.manual_seed(0)
    pixels = torch.randint(64, 192, (1, 256, 256), dtype=torch.uint8)
    (kernels,) = (step for step in augmentation(224, jitter=0.0, blur=2.0).transforms if hasattr(step, "transforms"))
    steps = torch.tensor([kernels(pixels).float().diff().abs().mean() for _ in range(400)])
    alone = pixels.float().diff().abs().mean()
    assert (steps < alone).float().mean().item() == pytest.approx(0.5, abs=0.08)
    assert (steps > alone).float().mean().item() == pytest.approx(0.25, abs=0.08)


@pytest.mark.parametrize(("power", "share"), [(0.0, 0.1), (1.0, 0.5)])
def test_balancing_draws_a_rare_class_as_often_as_asked(power, share):
    labels, rows = torch.tensor([0] * 100 + [1] * 900), torch.arange(1000)
    torch.manual_seed(0)
    drawn = torch.cat([torch.cat(list(draw_balanced(labels, rows, 100, power))) for _ in range(5)])
    assert (labels[drawn] == 0).float().mean().item() == pytest.approx(share, abs=0.03)


def test_cases_of_a_class_are_drawn_equally_often_however_many_slices_they_have():
    labels = torch.tensor([0] * 100 + [1] * 900)
    groups = torch.tensor([7] * 90 + [8] * 10 + [7] * 300 + [9] * 600)  # case 7 has slices of both classes
    torch.manual_seed(0)
    drawn = torch.cat([torch.cat(list(draw_balanced(labels, torch.arange(1000), 100, 1.0, groups))) for _ in range(9)])
    shares = [
        ((labels == label) & (groups == case))[drawn].float().mean().item()
        for label, case in ((0, 7), (0, 8), (1, 7), (1, 9))
    ]
    assert shares == pytest.approx([0.25] * 4, abs=0.02)
