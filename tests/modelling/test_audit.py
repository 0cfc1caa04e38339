import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from lungct.window import LUNG
from lungct_tools.modelling import auditing
from lungct_tools.modelling.auditing import PSEUDO_CASES, audit, score_baselines, write_audit
from lungct_tools.modelling.baselines import NEAREST
from lungct_tools.modelling.dataset import TABLE, Cases, read_cases
from lungct_tools.modelling.lookalikes import correlate_slices, find_copies, find_twins, group_slices, number_files
from lungct_tools.phantom.anatomy import draw_slice
from tests.conftest import run_script
from tests.support.madeup import CASES, make_start


def noise(seed):
    return np.random.default_rng(seed).integers(0, 256, (96, 96), dtype=np.uint8)


def test_identical_slices_are_found_whatever_their_names():
    slices = [noise(0), noise(1), noise(0), noise(2), noise(0)]
    assert find_copies(slices) == [(0, 2), (0, 4)]


def test_twins_are_found_through_brightness_and_size():
    slices = [LUNG.render(draw_slice(s, size=128)) for s in (0, 7)]
    slices.append((np.asarray(Image.fromarray(slices[0]).resize((160, 160))) * 0.8 + 10).astype(np.uint8))
    assert find_twins(correlate_slices(slices), 0.99) == [(0, 2)]


def test_neighbours_join_at_less_likeness_than_strangers_and_chains_are_one_case():
    names = ["x (1).jpg", "x (2).jpg", "x (3).jpg", "x (9).jpg", "y (4).jpg"]
    correlation = np.eye(5)
    for a, b, likeness in ((0, 1, 0.92), (1, 2, 0.92), (0, 3, 0.92), (2, 4, 0.92)):
        correlation[a, b] = correlation[b, a] = likeness
    assert group_slices(correlation, names, np.array([0, 0, 0, 0, 1])).tolist() == [0, 0, 0, 1, 2]
    correlation[3, 4] = correlation[4, 3] = 0.98
    assert group_slices(correlation, names, np.array([0, 0, 0, 0, 1])).tolist() == [0, 0, 0, 1, 1]


def test_the_number_of_a_file_is_its_last_one():
    assert number_files(["a1/case (23).jpg", "none.jpg"]).tolist() == [23, -1]


def test_a_look_alike_search_scores_on_random_splits_and_not_on_grouped_ones():
    """Cases are noise with a random label: all that can be learnt is which slices are of one case."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 6)
    labels = rng.permutation(np.arange(60) % 3)[groups]
    slices = [(0.9 * noise(group) + 0.1 * noise(1000 + row)).astype(np.uint8) for row, group in enumerate(groups)]
    found = score_baselines(Cases([""] * 360, labels, groups, slices), groups)[NEAREST]
    assert found["random_slices"] > 0.95
    assert found["grouped_cases"] < 0.6


def test_the_script_writes_a_report_with_its_figures_and_numbers(made, tmp_path):
    done = run_script("audit", "--data", made, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    written = {"audit.json", "report.md", PSEUDO_CASES, "twins.png", "baselines.png"}
    assert {p.name for p in tmp_path.iterdir()} == written
    found = json.loads((tmp_path / "audit.json").read_text())
    assert found["slices_per_class"] == {name: 2 * CASES for name in ("Benign", "Malignant", "Normal")}
    assert f"{found['pseudo_cases']} pseudo-cases" in (tmp_path / "report.md").read_text()


@pytest.fixture
def without_cases(made, tmp_path):
    """A copy of the made-up data whose table has no column pseudo_case."""
    folder = shutil.copytree(made, tmp_path / "data")
    (folder / TABLE).write_text(re.sub(r",[^,]*$", "", (folder / TABLE).read_text(), flags=re.MULTILINE))
    return folder


def test_data_without_cases_is_audited_and_trained_on_the_cases_that_the_audit_lists(without_cases, tmp_path, run_here):
    out = tmp_path / "audit"
    done = run_script("audit", "--data", without_cases, "--out", out)
    assert done.returncode == 0, done.stderr
    assert json.loads((out / "audit.json").read_text())["agrees_with_table"] is None
    assert "cases.csv has no column pseudo_case" in (out / "report.md").read_text()
    place = ("--data", without_cases, "--init", make_start(tmp_path / "start.pth"), "--work", tmp_path / "work")
    train = ("train", "cv", *place, "--recipe", '{"schedule": []}', "--folds", 0)
    assert run_here(*train)[0] == 0
    shutil.copy(out / PSEUDO_CASES, without_cases / TABLE)
    assert run_here(*train)[0] == 0, "the same slices in the same cases are the same trial"
    assert run_here("audit", "--data", without_cases, "--out", out)[0] == 0
    assert json.loads((out / "audit.json").read_text())["agrees_with_table"] is True


def test_an_audit_of_data_that_cannot_be_used_ends_with_a_sentence(tmp_path, run_here):
    (tmp_path / TABLE).write_text("name,label\na.png,normal\n")
    code, said = run_here("audit", "--data", tmp_path, "--out", tmp_path / "out")
    assert (code, said) == (2, "audit: cases.csv needs file in every row.\n")
    assert not (tmp_path / "out").exists()


def mosaic(seed, levels, columns=96):
    """A slice of 8 x 8 squares in random order: a quarter at the first of three levels, a quarter at the last."""
    squares = np.repeat(np.array(levels, np.uint8), [36, 72, 36] if columns == 96 else [54, 108, 54])
    order = np.random.default_rng(seed).permutation(squares).reshape(12, columns // 8)
    return order.repeat(8, 0).repeat(8, 1)


@pytest.fixture(scope="module")
def mosaics():
    """Five slices a class: two of Malignant are wide, Normal has a window of its own, three pairs are alike."""
    levels = [(10, 90 + 5 * row, 250) for row in range(5)]
    slices = [mosaic(row, three) for row, three in enumerate(levels)]
    slices += [mosaic(5 + row, (20, 100, 200), 96 if row < 3 else 144) for row in range(5)]
    slices += [mosaic(10 + row, (0, 50, 100)) for row in range(5)]
    slices[1] = slices[0].copy()
    slices[5] = slices[2].copy()
    slices[5][:8, :8] ^= 16
    slices[11] = slices[10].copy()
    slices[11][:24, :8] ^= 16
    return Cases([f"{row}.png" for row in range(15)], np.repeat([0, 1, 2], 5), np.arange(15), slices)


def test_shapes_and_gray_levels_of_a_class_of_its_own_are_counted_and_told(mosaics, tmp_path):
    found = write_audit(tmp_path, mosaics)
    assert found["shapes"] == {"Benign": {"96x96": 5}, "Malignant": {"96x96": 3, "96x144": 2}, "Normal": {"96x96": 5}}
    assert found["gray_levels"] == {
        "Benign": {"p1": 10, "p50": 100, "p99": 250},
        "Malignant": {"p1": 20, "p50": 100, "p99": 200},
        "Normal": {"p1": 0, "p50": 50, "p99": 100},
    }
    report = (tmp_path / "report.md").read_text()
    assert "- Malignant: 3 of 96x96, 2 of 96x144\n" in report
    assert "- Normal: darkest 1 % 0, median 50, brightest 1 % 100\n" in report


def test_near_pairs_are_listed_with_the_most_alike_first_and_no_more_than_stated(mosaics, monkeypatch):
    near = audit(mosaics)["near_pairs"]
    assert near["count"] == 3
    assert [{a, b} for a, b, _ in near["most_alike"]] == [
        {"0.png", "1.png"}, {"2.png", "5.png"}, {"10.png", "11.png"}
    ]  # fmt: skip
    likeness = [r for _, _, r in near["most_alike"]]
    assert likeness == sorted(likeness, reverse=True)
    assert (likeness[0], likeness[-1] > 0.97) == (1.0, True)
    monkeypatch.setattr(auditing, "LISTED", 2)
    capped = audit(mosaics)["near_pairs"]
    assert capped == {"count": 3, "listed_at_most": 2, "most_alike": near["most_alike"][:2]}


@pytest.mark.data
def test_our_grouping_of_the_real_slices_is_the_one_of_the_table(data):
    cases = read_cases(data)
    groups = group_slices(correlate_slices(cases.slices), cases.files, cases.labels)
    pairs = set(zip(groups.tolist(), cases.groups.tolist(), strict=True))
    assert len(pairs) == len(set(groups)) == len(set(cases.groups)) == 98


@pytest.mark.data
def test_the_audit_finds_the_known_leaks_of_the_real_data(data):
    found = audit(read_cases(data))
    assert found["agrees_with_table"] is True
    assert len(found["identical_pairs"]) > 30
    assert any("Bengin" in a and "Normal" in b for a, b, _ in found["cross_class_pairs"])
    assert found["baseline_accuracy"][NEAREST]["random_slices"] > 0.97
    assert found["baseline_accuracy"][NEAREST]["grouped_cases"] < 0.75
