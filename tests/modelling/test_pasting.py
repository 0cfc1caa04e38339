"""Training images: what a pasted nodule changes, where it is said to be, and that nothing but it tells the classes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from lungct.window import LUNG
from lungct_tools.modelling.dataset import BENIGN, CLASSES, MALIGNANT, NORMAL, read_cases
from lungct_tools.modelling.pasting.augmentation import draw_geometry
from lungct_tools.modelling.pasting.backgrounds import (
    SIDE,
    draw_weights,
    is_kept_out,
    prepare,
    read_clear,
    shift_window,
    take_normal,
)
from lungct_tools.modelling.pasting.blending import blend
from lungct_tools.modelling.pasting.generator import Generator
from lungct_tools.modelling.pasting.nodules import PIXEL_MM, read_nodules
from lungct_tools.modelling.pasting.placement import KINDS, draw_place, settle
from lungct_tools.modelling.pasting.settings import AS_READ, Settings
from lungct_tools.phantom.anatomy import draw_slice

PLAIN = replace(AS_READ, controls=(0.0, 0.0))


@pytest.fixture(scope="module")
def backgrounds():
    """Drawn slices without a nodule, of eight cases, and one with little lung."""
    drawn = [LUNG.render(draw_slice(seed, "none", SIDE)) for seed in range(8)]
    return [
        *(prepare(pixels, f"iq:{case}", seed=case) for case, pixels in enumerate(drawn)),
        prepare(drawn[0], "clear:a", little=True),
    ]


@pytest.fixture(scope="module")
def collection(nodules):
    return read_nodules(nodules)


def test_a_background_knows_its_lungs_and_places_of_every_kind_but_where_there_are_none(backgrounds):
    for one in backgrounds[:-1]:
        assert set(one.spots) == set(KINDS)
        assert 0.05 < (one.room > 0).mean() < 0.6
        assert not (one.room[~one.body] > 0).any()
        row, column = one.spots["free"][0]
        assert one.room[row, column] > 8
    assert prepare(np.full((512, 512), LUNG.air, np.uint8), "iq:9").little


def test_a_slice_at_another_window_is_brought_to_the_models():
    hu = np.linspace(-1200, 200, 64).reshape(8, 8)
    other = LUNG._replace(center=-600).render(hu)
    inside = (other > 0) & (other < 255)
    moved = shift_window(other, -600)
    assert np.abs(moved[inside].astype(int) - LUNG.render(hu)[inside]).max() <= 1


def test_every_image_has_its_number_in_any_order_and_another_seed_has_others(backgrounds, collection):
    one, again, other = (Generator(backgrounds, collection, Settings(), seed) for seed in (1, 1, 2))
    forward = [one[number] for number in range(6)]
    backward = [again[number] for number in reversed(range(6))][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert np.array_equal(a.pixels, b.pixels)
        assert (a.label, a.row, a.background) == (b.label, b.row, b.background)
    assert any(not np.array_equal(a.pixels, other[number].pixels) for number, a in enumerate(forward))


def test_a_paste_changes_nothing_outside_its_blend_and_leaves_bright_tissue_on_top(collection):
    rng = np.random.default_rng(0)
    before = rng.uniform(30, 90, (SIDE, SIDE)).astype(np.float32)
    before[:, 250:260] = 230  # a vessel through the middle
    canvas = before.copy()
    patch = collection.cut(1, 1.0)
    alpha = blend(canvas, patch, 256, 256, 60.0, 2.0, rng)
    changed = canvas != before
    assert changed.any()
    assert not changed[alpha == 0].any()
    assert (canvas[:, 250:260] >= 230).all()
    rows, columns = np.nonzero(alpha > 0.5)
    assert abs(rows.mean() - 256) < 2
    assert abs(columns.mean() - 256) < 2


def test_with_pasting_off_an_image_is_the_same_but_for_the_nodule(backgrounds, collection):
    on = Generator(backgrounds, collection, PLAIN, 3)
    off = Generator(backgrounds, collection, replace(PLAIN, pasting=False), 3)
    for number in range(12):
        with_it, without = on[number], off[number]
        assert (with_it.label, with_it.background) == (without.label, without.background)
        different = with_it.pixels[0] != without.pixels[0]
        assert different.any() == (with_it.label != NORMAL)
        assert not without.shares.any()
        if different.any():
            cells = different.reshape(7, 32, 7, 32).any((1, 3))
            near = np.zeros((7, 7), bool)
            for row, column in np.argwhere(with_it.shares[with_it.label] > 0):
                near[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
            assert not cells[~near].any(), "only the nodule's cells and those next to it"


def test_a_nodule_is_marked_where_it_is_after_every_geometric_step(backgrounds, collection):
    """The same draws with and without pasting, levels and storage left alone: the difference is the nodule."""
    drawn = replace(Settings(), controls=(0.0, 0.0), second=0.0, lines=0.0, disease=0.0, little=0.0)
    on, off = (Generator(backgrounds, collection, replace(drawn, pasting=pasting), 4) for pasting in (True, False))
    hits = []
    for number in range(40):
        with_it, without = on[number], off[number]
        if with_it.label == NORMAL:
            assert not with_it.shares.any()
            continue
        assert not with_it.shares[[label for label in range(3) if label != with_it.label]].any()
        difference = np.abs(with_it.pixels[0].astype(int) - without.pixels[0]).reshape(7, 32, 7, 32).sum((1, 3))
        hits.append(with_it.shares[with_it.label].flat[int(difference.argmax())] > 0)
    assert len(hits) > 15
    assert np.mean(hits) > 0.95


def test_moving_a_picture_takes_a_spot_to_where_find_says(backgrounds):
    for seed in range(10):
        geometry = draw_geometry(np.random.default_rng(seed))
        picture = np.zeros((SIDE, SIDE), np.float32)
        picture[200:217, 300:317] = 1
        row, column = geometry.find(208, 308)
        moved = geometry.move(picture, 0)
        assert moved[max(0, row - 12) : row + 13, max(0, column - 12) : column + 13].any()


def test_a_view_shows_the_nodule_and_its_cells(backgrounds, collection):
    settings = replace(Settings(), view=96, little=0.0)
    for number in range(20):
        sample = Generator(backgrounds, collection, settings, 5)[number]
        assert sample.pixels.shape == (1, 96, 96)
        assert sample.shares.shape == (3, 3, 3)
        assert (sample.label == NORMAL) == (not sample.shares[sample.label].any())


def test_a_nodule_lies_in_its_lung_where_it_has_room_and_nowhere_else(backgrounds):
    rng = np.random.default_rng(0)
    settled = 0
    for _ in range(200):
        background = backgrounds[rng.integers(8)]
        place = draw_place(background, rng)
        if middle := settle(background, place, 6.0):
            settled += 1
            assert background.room[middle] > 0
        assert settle(background, place._replace(kind="free", depth=0.0), 300.0) is None
    assert settled > 100


def test_a_turned_and_scaled_nodule_keeps_its_size_and_place(collection):
    for row, scale, angle in itertools.product((0, 1, 8), (0.9, 2.0), (0.0, 1.0)):
        patch = collection.cut(row, scale, angle, mirrored=True)
        inside = patch.gray > (patch.level + patch.gray.max()) / 2
        area = np.pi * (collection.diameters[row] / 2 / PIXEL_MM * scale) ** 2
        assert inside.sum() == pytest.approx(area, rel=0.25)
        y, x = np.argwhere(inside).mean(0) - len(patch.gray) // 2
        assert np.hypot(y, x) < 1.5


def test_classes_are_drawn_alike_little_lung_is_normal_and_about_a_fifth_is_kept_out(backgrounds, collection):
    generator = Generator(backgrounds, collection, replace(Settings(), augmented=False), 6)
    samples = [generator[number] for number in range(240)]
    counts = np.bincount([one.label for one in samples], minlength=3)
    assert counts.min() > 55
    little = [one for one in samples if backgrounds[one.background].little]
    assert little
    assert {one.label for one in little} == {NORMAL}
    sizes = [np.median([one.diameter for one in samples if one.label == label]) for label in (BENIGN, MALIGNANT)]
    assert sizes[0] < sizes[1]
    groups = {f"P{number}" for number in range(500)}
    assert 0.1 < np.mean([is_kept_out(group) for group in groups]) < 0.3


def test_sources_are_drawn_alike_however_many_slices_they_have(backgrounds):
    many = [*backgrounds[:8], replace(backgrounds[0], group="clear:b")]
    weights = draw_weights(many)
    assert weights.sum() == pytest.approx(1)
    assert weights[-1] == pytest.approx(0.5)


def test_without_lungs_or_a_class_there_is_nothing_to_paste(backgrounds, collection):
    with pytest.raises(ValueError, match="lung"):
        Generator(backgrounds[-1:], collection, Settings(), 0)
    with pytest.raises(ValueError, match="both classes"):
        Generator(backgrounds, collection.select(collection.labels == 0), Settings(), 0)


def tell_apart(generator, count):
    """AUC of each pair of classes by a small classifier on coarse pixels and gray levels, cross-validated."""
    samples = [generator[number] for number in range(3 * count)]
    labels = np.array([one.label for one in samples])
    coarse = np.array([one.pixels[0].reshape(14, 16, 14, 16).mean((1, 3)).ravel() / 64 for one in samples])
    levels = np.array([np.histogram(one.pixels, 32, (0, 256))[0] / 5000 for one in samples])
    fine = np.array([[np.abs(np.diff(one.pixels[0].astype(int), n)).mean() / 10 for n in (1, 2)] for one in samples])
    seen = np.hstack([coarse, levels, fine])
    found = {}
    for pair in itertools.combinations(range(3), 2):
        rows = np.isin(labels, pair)
        model = LogisticRegression(C=0.01, max_iter=200)
        scores = cross_val_predict(model, seen[rows], labels[rows] == pair[1], cv=5, method="decision_function")
        found[tuple(CLASSES[label] for label in pair)] = roc_auc_score(labels[rows] == pair[1], scores)
    return found


def test_without_the_nodule_nothing_tells_the_classes(backgrounds, collection):
    """The short form of 1,500 a class, which gave 0.51, 0.50 and 0.50 with this seed and LIDC-IDRI's nodules."""
    found = tell_apart(Generator(backgrounds, collection, Settings(pasting=False, little=0.0), 11), 300)
    assert all(auc <= 0.58 for auc in found.values()), found


@pytest.mark.data
def test_without_the_nodule_nothing_tells_the_classes_of_real_slices(data):
    backgrounds = [*take_normal(read_cases(data)), *read_clear(data / "lidc_clear")]
    collection = read_nodules(data / "lidc_nodules")
    found = tell_apart(Generator(backgrounds, collection, Settings(pasting=False, little=0.0), 8), 300)
    assert all(auc <= 0.58 for auc in found.values()), found
