"""What is told of a model comes from its contract, and the worst of it first."""

import csv
import io
import json

import pytest

from lungct import NOTICE
from lungct_tools import ROOT
from lungct_tools.folder.modelfacts import list_never_reported, tell_limit, tell_model, tell_never, tell_once
from lungct_tools.folder.record import write_csv
from tests.support.desk import Desk, score_folder
from tests.support.pictures import encode
from tests.support.rows import CLASSES, make_row

CONTRACT = {
    "classes": ["Benign", "Malignant", "Normal"],
    "refer_below": {"Benign": 2.0, "Malignant": 0.522},
    "data": "A data set",
    "metrics": {"of": "Its own folds", "recall_benign": 0.0, "reported_accuracy": 0.971, "reported_share": 0.4},
}


def test_a_class_is_never_reported_whose_limit_no_confidence_reaches_or_that_has_none():
    assert list_never_reported(CONTRACT) == ["Benign", "Normal"]
    assert tell_never(CONTRACT) == "This model never reports Benign and Normal: such slices are always referred."
    assert tell_never({**CONTRACT, "refer_below": dict.fromkeys(CONTRACT["classes"], 0.5)}) == ""
    assert "reports nothing" in tell_never({**CONTRACT, "refer_below": {}})


def test_the_facts_say_what_is_reported_what_is_missed_and_where_it_was_judged():
    facts = tell_model(CONTRACT)
    assert list(facts)[:3] == ["Reports", "Never reports", "Does not find"]
    assert facts["Reports"] == "Malignant from a confidence of 52.2%"
    assert "Benign" in facts["Does not find"]
    assert facts["Right among those reported"].startswith("97%, and 40% of the slices are reported, as judged above;")
    counted = tell_model({**CONTRACT, "metrics": {**CONTRACT["metrics"], "reported_cases": [19, 20]}})
    assert ", in 19 of 20 patients or cases without an error;" in counted["Right among those reported"]
    assert facts["Judged by"] == "Its own folds"
    assert "other" not in facts["Reports"]
    assert "not judged on" in facts["Not known"]


@pytest.mark.parametrize(
    ("share", "told"), [(0.4, "40%"), (0.1, "10%"), (0.05, "5%"), (0.0213, "2.1%"), (0.0051, "0.51%"), (0.0, "0%")]
)
def test_a_small_share_is_not_rounded_up_to_a_whole_per_cent(share, told):
    facts = tell_model({**CONTRACT, "metrics": {**CONTRACT["metrics"], "reported_share": share}})
    assert f", and {told} of the slices are reported" in facts["Right among those reported"]


@pytest.mark.parametrize(("limit", "told"), [(0.5, "50%"), (0.9969918, "99.7%"), (0.9991, "100%"), (0.07, "7%")])
def test_a_limit_is_never_told_lower_than_it_is(limit, told):
    assert tell_limit(limit) == told


def test_that_no_judged_slice_was_reported_is_told():
    metrics = {"of": "Its own folds", "reported_share": 0.0}
    told = tell_model({**CONTRACT, "metrics": metrics})["Right among those reported"]
    assert told == "not known: none of the slices that it was judged on was reported"


def test_a_model_without_numbers_is_told_to_refer_everything():
    assert tell_model({"classes": ["A", "B"]})["Reports"] == "nothing: every slice is referred to a person"


def test_the_shipped_model_has_these_facts():
    contract = json.loads((ROOT / "model_store" / "lung_ct" / "model.json").read_text())
    assert {"Reports", "Made from", "Judged by", "Not known"} <= set(tell_model(contract))


def test_the_summary_page_and_the_head_of_each_table_tell_them_too(pipeline, phantoms, tmp_path):
    desk, source = Desk(pipeline), tmp_path / "in"
    source.mkdir()
    (source / "one.png").write_bytes(encode(phantoms[0], "PNG"))
    score_folder(source, tmp_path / "out", desk)
    page = (tmp_path / "out" / "summary.html").read_text()
    for name, fact in tell_model(desk.contract()).items():
        assert f'<th scope="row">{name}</th>' in page
        assert fact.split(";")[0][:40] in page
    for table in ("slices.csv", "series.csv"):
        (line,) = csv.DictReader((tmp_path / "out" / table).open())
        assert line["about_model"] == tell_once(tell_model(desk.contract()))["about_model"]


def test_a_table_tells_them_in_its_first_line_only_and_no_remark_stands_above_its_header():
    stream = io.StringIO()
    write_csv([make_row("a"), make_row("b")], CLASSES, stream, {"Reports": "nothing", "Not known": "all else"})
    assert stream.getvalue().startswith("file,sha256,")
    first, second = csv.DictReader(io.StringIO(stream.getvalue()))
    assert first["about_model"] == "Reports: nothing | Not known: all else"
    assert (first["notice"], first["file"], second["about_model"]) == (NOTICE, "a", "")
