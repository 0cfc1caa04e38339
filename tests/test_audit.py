import json

import numpy as np
import pytest
from lungct.window import LUNG
from PIL import Image

from scripts.anatomy import draw_slice
from scripts.modelling.auditing import audit, score_baselines
from scripts.modelling.baselines import NEAREST
from scripts.modelling.dataset import Cases, read_cases
from scripts.modelling.lookalikes import correlate_slices, find_copies, find_twins, group_slices, number_files
from tests.conftest import run_script
from tests.madeup import CASES


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
    assert {p.name for p in tmp_path.iterdir()} == {"audit.json", "report.md", "twins.png", "baselines.png"}
    found = json.loads((tmp_path / "audit.json").read_text())
    assert found["slices_per_class"] == {name: 2 * CASES for name in ("Benign", "Malignant", "Normal")}
    assert f"{found['pseudo_cases']} pseudo-cases" in (tmp_path / "report.md").read_text()


@pytest.mark.data
def test_our_grouping_of_the_real_slices_is_the_one_of_the_table(data):
    cases = read_cases(data)
    groups = group_slices(correlate_slices(cases.slices), cases.files, cases.labels)
    pairs = set(zip(groups.tolist(), cases.groups.tolist(), strict=True))
    assert len(pairs) == len(set(groups)) == len(set(cases.groups)) == 98


@pytest.mark.data
def test_the_audit_finds_the_known_leaks_of_the_real_data(data):
    found = audit(read_cases(data))
    assert found["agrees_with_table"]
    assert len(found["identical_pairs"]) > 30
    assert any("Bengin" in a and "Normal" in b for a, b, _ in found["cross_class_pairs"])
    assert found["baseline_accuracy"][NEAREST]["random_slices"] > 0.97
    assert found["baseline_accuracy"][NEAREST]["grouped_cases"] < 0.75
