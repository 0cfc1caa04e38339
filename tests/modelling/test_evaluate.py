"""The card: its numbers are what the model answers, its table says what is missed, and it shows no patient."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from lungct.model import to_input
from lungct.window import LUNG
from lungct_tools.modelling.asking import Answers, ask, encode
from lungct_tools.modelling.card import CARD, EVALUATION, FIGURE, TRIED
from lungct_tools.modelling.dataset import BENIGN, MALIGNANT, NORMAL
from lungct_tools.modelling.intervals import cover, resample_cases, tell_share
from lungct_tools.modelling.judge import rank
from lungct_tools.modelling.judging import promise
from lungct_tools.modelling.madeslices import locate, points_at, score_pasted, swap
from lungct_tools.modelling.realslices import judge_boxed, judge_gate, judge_reports, judge_series, touches
from lungct_tools.modelling.sources import Box, Known, read_boxed, read_series
from lungct_tools.modelling.surroundings import find_surroundings
from lungct_tools.modelling.table import list_rows
from lungct_tools.phantom.anatomy import draw_slice
from tests.conftest import MODEL

PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm"}


def test_the_card_has_every_row_whose_data_was_there_and_says_which_are_missed(written, found):
    card, rows = (written / CARD).read_text(), list_rows(found)
    assert len(rows) == 19, "all but those of the two series, which are not in the made-up data"
    for row in rows:
        assert f"| {row.judged_on} | {row.measure} | {row.wanted} | {row.reached} |" in card
    assert card.count("**missed**") == sum(not row.met for row in rows) > 0
    assert "Research use only" in card
    assert not re.search(r"\bnan\b|None|\{[a-z_]+\}|/tmp/", card)


def test_the_cards_figure_is_there_and_shows_something(written):
    assert re.findall(r"!\[[^]]+\]\(([^)]+)\)", (written / CARD).read_text()) == [FIGURE]
    assert np.asarray(Image.open(written / FIGURE).convert("L")).std() > 10


def test_intervals_hold_the_score_they_belong_to(found):
    pasted = found["pasted"]
    for name, (low, high) in pasted["intervals"].items():
        assert 0 <= low <= pasted["scores"][name] <= high <= 1, name
    for part in (found["shortcuts"]["called_malignant"], *found["shortcuts"]["smoothed"].values()):
        low, high = part["interval"]
        assert low <= part["share"] <= high


def test_one_agreeing_share_has_the_exact_interval_over_cases_and_another_the_bootstraps():
    groups = np.repeat(np.arange(10), 3)
    all_alike = tell_share(np.ones(30, bool), groups)
    assert all_alike["interval"] == cover(10, 10)
    assert cover(10, 10)[0] == pytest.approx(0.025**0.1)
    mixed = tell_share(np.arange(30) % 3 == 0, groups)
    assert (mixed["share"], mixed["cases"]) == (pytest.approx(1 / 3), 10)
    assert mixed["interval"] == pytest.approx([1 / 3, 1 / 3]), "alike in every case"
    assert tell_share(np.zeros(0, bool), np.zeros(0))["share"] is None


def test_a_case_that_is_drawn_twice_counts_twice():
    flags, groups = np.array([True, True, False]), np.array([0, 0, 1])
    low, high = resample_cases(lambda rows: {"share": float(flags[rows].mean())}, groups)["share"]
    assert (low, high) == (0, 1)


def make_answers(probabilities, reported=None, maps=None):
    probabilities = np.array(probabilities, float)
    count = len(probabilities)
    maps = np.zeros((count, 3, 7, 7)) if maps is None else maps
    reported = np.ones(count, bool) if reported is None else np.array(reported)
    return Answers(probabilities, np.log(probabilities), maps, np.ones(count, bool), reported)


def test_a_fault_of_the_pipeline_is_no_refusal(folder):
    class Broken:
        name = kind = "broken"

        def predict(self, inputs):
            raise RuntimeError("it does not compute")

    with pytest.raises(RuntimeError, match="server"):
        ask(folder, Broken(), [encode(LUNG.render(draw_slice(0)))], "broken")


def test_answers_without_the_gate_take_the_place_of_refusals_and_leave_the_others():
    first, other = make_answers([SURE[NORMAL]] * 3), make_answers([SURE[MALIGNANT]], reported=[False])
    found = first.put(np.array([1]), other)
    assert found.called.tolist() == [NORMAL, MALIGNANT, NORMAL]
    assert found.reported.tolist() == [True, False, True]
    assert first.called.tolist() == [NORMAL] * 3


SURE = {BENIGN: (0.8, 0.1, 0.1), MALIGNANT: (0.1, 0.8, 0.1), NORMAL: (0.1, 0.1, 0.8)}


def test_scores_of_pasted_slices_count_recall_by_size_and_a_perfect_model_has_them_all():
    labels = np.array([BENIGN, BENIGN, MALIGNANT, NORMAL])
    sizes = np.array([5.0, 9.0, 16.0, 0.0])
    right = score_pasted(make_answers([SURE[label] for label in labels]), labels, sizes, np.arange(4))
    assert set(right.values()) == {1}
    called = [SURE[NORMAL], *(SURE[label] for label in labels[1:])]
    found = score_pasted(make_answers(called), labels, sizes, np.arange(4))
    assert (found["recall_benign"], found["recall_benign_7mm"]) == (0.5, 1)
    assert found["present_auc_7mm"] == 1
    assert found["present_auc_0mm"] < 1
    assert np.isnan(score_pasted(make_answers(called), labels, sizes, np.array([3]))["recall_malignant"])


def test_the_strongest_cell_touches_a_box_or_lies_beside_it():
    evidence = np.zeros((7, 7))
    evidence[2, 4] = 1
    side = 512 / 7
    assert touches(evidence, Box(4.5 * side, 2.5 * side, 6 * side, 3 * side))
    assert not touches(evidence, Box(5.1 * side, 2.5 * side, 6 * side, 3 * side))
    assert points_at(evidence, (evidence > 0).astype(np.float32))
    assert not points_at(evidence, np.roll(evidence, 1, 0).astype(np.float32))


def test_a_drawn_nodule_is_located_where_it_was_drawn():
    for seed in range(3):
        cells = locate(draw_slice(seed, "smooth"), draw_slice(seed), 7)
        assert 0 < (cells > 0).sum() <= 9
    assert not locate(draw_slice(0), draw_slice(0), 7).any()


def test_a_boxed_series_knows_its_far_slices_and_one_with_a_nodule_its_rank(tmp_path):
    (tmp_path / "slices.csv").write_text(
        "file,series,z_mm,x0,y0,x1,y1\na.png,s,0,10,10,90,90\nb.png,s,10,,,,\nc.png,s,20,,,,\nd.png,other,0,,,,\n"
    )
    known = read_boxed(tmp_path)
    assert [one.label for one in known] == [MALIGNANT, -1, NORMAL, NORMAL]
    maps = np.zeros((4, 3, 7, 7))
    maps[0, MALIGNANT, 0, 0] = 1
    answers = make_answers([SURE[MALIGNANT], SURE[NORMAL], SURE[NORMAL], SURE[MALIGNANT]], maps=maps)
    found = judge_boxed(known, answers, answers)
    assert (found["boxes"], found["touched"], found["far_called_malignant"]) == (1, 1, 0.5)
    assert found["auc_by_series"] == {"other": None, "s": 1.0}
    (tmp_path / "table.csv").write_text("file,nodule\na.dcm,0\nb.dcm,1\nc.dcm,0\n")
    series = read_series(tmp_path, tmp_path / "table.csv")
    ranked = judge_series(series, *[make_answers([SURE[MALIGNANT], (0.2, 0.5, 0.3), SURE[NORMAL]])] * 2)
    assert (ranked["rank"]["malignant"], ranked["free_reported_malignant"]) == (2, 1)


def test_reports_count_unseen_slices_alone_and_forgive_benign_that_is_not_called_malignant(tmp_path):
    def know(label, group, seen=False):
        return Known(tmp_path / f"{group}.png", "clear", group, label, seen)

    known = [know(NORMAL, "a"), know(NORMAL, "b", True), know(BENIGN, "c"), know(BENIGN, "d"), know(MALIGNANT, "e")]
    called = [SURE[NORMAL], SURE[MALIGNANT], SURE[NORMAL], SURE[MALIGNANT], SURE[MALIGNANT]]
    found = judge_reports(known, make_answers(called, reported=[True, True, True, True, False]))
    told = found["all"]
    assert (told["slices"], told["reported"], told["right"]) == (4, 0.75, pytest.approx(2 / 3))
    assert (told["groups_reported"], told["groups_without_error"]) == (3, 2)
    assert [(one["file"], one["decision"]) for one in found["worst"]] == [("d.png", "report")]


def test_a_source_of_which_all_was_refused_is_told_as_none(tmp_path):
    known = [Known(tmp_path / "a.png", "clear", "a", NORMAL, False)]
    answers = make_answers([(np.nan,) * 3], reported=[False])._replace(answered=np.zeros(1, bool))
    found = judge_reports(known, answers)
    assert found["all"]["confidence"] is None
    json.dumps(found, allow_nan=False)
    scores = {"balanced_accuracy": None, "recall_benign": 0.5, "recall_malignant": None, "recall_normal": None}
    told = promise({"reports": found, "pasted": {"scores": scores}})
    assert told["recall_benign"] == 0.5
    assert not {"mean_confidence", "balanced_accuracy"} & set(told)


def test_an_empty_folder_of_other_pictures_is_passed_over(tmp_path):
    (tmp_path / "not_ct" / "photo").mkdir(parents=True)
    assert judge_gate(None, tmp_path) == {}


def test_swapped_surroundings_change_nothing_in_the_body():
    pixels, other = (to_input(LUNG.render(draw_slice(seed)), 224, "pad", LUNG.air)[0] for seed in (0, 7))
    around = find_surroundings(pixels[None])
    changed = swap(pixels, np.where(find_surroundings(other[None]), 90, other).astype(np.uint8))
    assert around.any()
    assert np.array_equal(changed[~around], pixels[~around])
    assert (changed[around] == 90).any()


def test_ranking_needs_both_kinds():
    assert rank(np.array([0.1, 0.9, np.nan]), np.array([False, True, True])) == 1
    assert rank(np.array([0.1, 0.9]), np.array([True, True])) is None


def test_the_shipped_folder_has_its_numbers_and_no_picture_but_the_cards_figure(folder):
    names = {path.name for path in MODEL.iterdir()}
    assert {CARD, EVALUATION, TRIED} <= names
    assert {path.name for path in MODEL.rglob("*") if path.suffix in PICTURES} == {FIGURE}
    found = json.loads((MODEL / EVALUATION).read_text())
    assert found["weights_sha256"] == folder.contract.weights_sha256
    assert dict(folder.contract.metrics) == promise(found), "what model.json promises is what was measured"
