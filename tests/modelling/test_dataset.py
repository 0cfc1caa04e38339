import re
import shutil

import numpy as np
import pytest
from PIL import Image

from lungct.model.preprocess import to_input
from lungct.window import LUNG
from lungct_tools.modelling.dataset import (
    CLASSES,
    TABLE,
    Cases,
    read_cases,
    read_slice,
    split_by_case,
    write_table,
)
from lungct_tools.modelling.lookalikes import correlate_slices, group_slices
from lungct_tools.phantom.anatomy import draw_slice
from tests.support.dicoms import build_ct, read
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


def test_pixels_that_are_not_square_are_so_for_training_too(tmp_path):
    narrow = (draw_slice(2, "smooth", 256)[:, ::2] + 1024).astype(np.uint16)
    (tmp_path / "a.dcm").write_bytes(build_ct(narrow, PixelSpacing=[0.7, 1.4]))
    served = read((tmp_path / "a.dcm").read_bytes())
    found = read_slice(tmp_path / "a.dcm")
    assert found.shape == (256, 256)
    shown = [to_input(pixels, 224, "pad", LUNG.air, aspect) for pixels, aspect in ((found, 1), (served.pixels, 0.5))]
    assert np.abs(np.subtract(*shown, dtype=float)).mean() < 3


def test_a_split_keeps_cases_whole_and_every_class_in_every_fold():
    labels = np.repeat([0, 1, 2], 100)
    cases = Cases([""] * 300, labels, np.repeat(np.arange(60), 5), [])
    folds = split_by_case(cases, 5, seed=0)
    assert all(len(set(folds[cases.groups == case])) == 1 for case in range(60))
    assert all(set(labels[folds == fold]) == {0, 1, 2} for fold in range(5))
    assert np.array_equal(folds, split_by_case(cases, 5, seed=0))
    assert not np.array_equal(folds, split_by_case(cases, 5, seed=1))
