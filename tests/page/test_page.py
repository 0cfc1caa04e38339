"""The page's logic, with the real pipeline in this process instead of a server."""

import numpy as np
import pytest

from lungct import NOTICE
from lungct_client import ServerDown, ServerError, TokenError
from lungct_tools.page.examples import draw_example
from tests.support.pictures import encode
from tests.support.visit import open_page, press, said, upload
from tests.support.zips import pack

DOWN = {"live": False, "ready": False, "reason": "No server", "workers": []}


def as_normal(reply):
    reply["label"] = "Normal"


def without_evidence(reply):
    reply["heatmap"]["grids"] = {name: (-np.ones((7, 7))).tolist() for name in reply["heatmap"]["grids"]}


def test_before_anything_is_chosen_analyze_is_off_and_the_notice_is_there(page):
    assert next(button for button in page.button if button.label == "Analyze").disabled
    assert NOTICE in said(page)
    assert "Ready: model 1.0 on torch-cpu-float32, 1 worker" in said(page)


def test_one_slice_shows_class_confidence_all_probabilities_and_the_map(page, desk, slices):
    upload(page, ("one.png", slices[0]))
    reply = desk.predict(slices[0], heatmap="always", heatmap_format="grid")
    text = said(page)
    assert f"<b>{reply['label']}</b>Confidence {reply['confidence']:.1%}" in text
    for name, share in reply["probabilities"].items():
        assert f"<span>{name}<" in text
        assert f"<em>{share:.1%}</em>" in text
    mapped = max(reply["probabilities"], key=lambda name: np.max(reply["heatmap"]["grids"][name]))
    page.segmented_control(key="map_of").set_value(mapped).run()
    assert f"high importance for {mapped}" in said(page)
    assert "no outline" in said(page)


def test_what_the_model_never_reports_is_marked_and_told_before_anyone_believes_it(page, desk, slices):
    desk.limits = {"Benign": 2.0, "Malignant": 0.5, "Normal": 2.0}
    upload(page, ("one.png", slices[0]))
    assert "never reports Benign and Normal" in page.expander[1].label
    text = said(page)
    assert text.count("<small>never reported</small>") == 2
    assert "<dt>Reports</dt><dd>Malignant from a confidence of 50%</dd>" in text


def test_report_is_no_green_light(page, desk, slices):
    desk.change = lambda reply: reply.update(decision="report")
    upload(page, ("one.png", slices[0]))
    assert "The model can still be wrong." in said(page)


@pytest.mark.parametrize("decision", ["refer", "report"])
def test_the_decision_comes_before_the_class(decision, page, desk, slices):
    desk.change = lambda reply: reply.update(decision=decision)
    upload(page, ("one.png", slices[0]))
    text = said(page)
    assert text.index(decision.capitalize()) < text.index("Confidence")


def test_a_normal_slice_has_no_heatmap_until_it_is_asked_for(page, desk, slices):
    desk.change = as_normal
    upload(page, ("one.png", slices[0]))
    assert "no heatmap by default" in said(page)
    page.toggle(key="normal_too").set_value(True).run()
    assert "no heatmap by default" not in said(page)


def test_an_abnormal_slice_has_its_heatmap_and_any_class_can_be_mapped_without_asking_the_server(page, desk, slices):
    def as_malignant(reply):
        reply["label"] = "Malignant"
        reply["heatmap"]["grids"] = {name: np.eye(7).tolist() for name in reply["heatmap"]["grids"]}

    desk.change = as_malignant
    upload(page, ("one.png", slices[0]))
    assert "high importance for Malignant" in said(page)
    desk.failure = ServerDown("gone")
    page.segmented_control(key="map_of").set_value("Benign").run()
    assert "high importance for Benign" in said(page)
    assert not page.error


def test_no_positive_evidence_is_said_instead_of_a_rainbow(page, desk, slices):
    desk.change = lambda reply: (reply.update(label="Malignant"), without_evidence(reply))
    upload(page, ("one.png", slices[0]))
    assert "No positive evidence for Malignant" in said(page)
    assert "high importance" not in said(page)


def test_a_refused_file_is_told_with_the_servers_sentence_and_its_code(page):
    upload(page, ("notes.txt", b"no image at all"))
    assert "`unsupported_format`" in page.error[0].value
    assert "export the slice" in page.error[0].value


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ServerDown("no"), "make serve"),
        (ServerError("503: queue full"), "busy"),
        (TokenError("no"), "Restart it"),
    ],
)
def test_a_server_that_does_not_answer_is_told_in_words_and_the_files_stay(failure, words, page, desk, slices):
    desk.failure = failure
    upload(page, ("one.png", slices[0]))
    assert words in page.error[0].value
    desk.failure = None
    press(page, "Analyze")
    assert not page.error
    assert "Confidence" in said(page)


def test_a_stopped_server_is_told_before_anything_is_sent(desk):
    import streamlit as st

    st.cache_data.clear()
    desk.state = DOWN
    page = open_page()
    assert "Not running. Start it with <code>make serve</code>" in said(page)
    st.cache_data.clear()


def test_a_warning_is_told_beside_the_answer(page, desk, slices):
    desk.change = lambda reply: reply.update(warnings=["The slice is <odd>."])
    upload(page, ("one.png", slices[0]))
    assert "The slice is &lt;odd&gt;." in said(page)


def test_what_was_chosen_folds_away_once_there_is_something_to_read_and_not_before(page, desk, slices):
    desk.failure = ServerDown("no")
    upload(page, ("one.png", slices[0]))
    assert page.expander[0].proto.expanded
    desk.failure = None
    press(page, "Analyze")
    assert not page.expander[0].proto.expanded
    assert page.expander[0].label == "Files"


@pytest.fixture
def _short_examples(monkeypatch):
    """A drawn series of three slices, because drawing takes long; it is not kept for those who want the whole."""
    monkeypatch.setattr("lungct_tools.page.examples.SLICES", 3)
    draw_example.cache_clear()
    yield
    draw_example.cache_clear()


@pytest.mark.parametrize(("example", "count"), [("A drawn series", 3), ("A drawn slice", 1)])
@pytest.mark.usefixtures("_short_examples")
def test_an_example_is_one_click_away_and_says_that_it_is_drawn(example, count, page):
    press(page, example)
    text = said(page)
    assert "no patient is behind it" in text
    assert "Confidence" in text
    assert (f"{count} of {count} slices scored" in text) == (count > 1)
    assert "were not scored" not in text


def test_an_example_says_that_it_stands_for_the_files_that_are_chosen(page, slices):
    page.file_uploader[0].upload("one.png", slices[0])
    press(page.run(), "A drawn slice")
    assert "The files above were not scored" in said(page)
    press(page, "Analyze")
    assert "were not scored" not in said(page)


def test_the_readers_own_verdict_stays_with_its_slice_and_agreement_is_told(page, desk, slices):
    desk.change = as_normal
    upload(page, *((f"slice{number}.png", body) for number, body in enumerate(slices[:3], 1)))
    page.slider(key="at").set_value(1).run()
    page.segmented_control(key="reading").set_value("Malignant").run()
    page.slider(key="at").set_value(2).run()
    assert page.segmented_control(key="reading").value is None
    page.segmented_control(key="reading").set_value("Normal").run()
    assert "2 of 3 slices read, 1 as the model, 1 otherwise (slice 1)" in said(page)
    assert list(page.dataframe[0].value["reading"]) == ["Malignant", "Normal", ""]
    page.slider(key="at").set_value(1).run()
    assert page.segmented_control(key="reading").value == "Malignant"
    page.segmented_control(key="reading").set_value(None).run()
    assert "1 of 3 slices read, 1 as the model." in said(page)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_of_one_name_each_has_a_verdict_of_its_own(page, slices):
    upload(page, ("scan.zip", pack(("scan/a.png", slices[0]), ("scan/a.png", slices[1]))))
    page.slider(key="at").set_value(1).run()
    page.segmented_control(key="reading").set_value("Malignant").run()
    assert list(page.dataframe[0].value["reading"]) == ["Malignant", ""]
    page.slider(key="at").set_value(2).run()
    assert page.segmented_control(key="reading").value is None


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_that_are_alike_the_curve_marks_the_one_that_is_shown(page, slices):
    upload(page, ("scan.zip", pack(("scan/a.png", slices[0]), ("scan/a.png", slices[0]))))
    for number in (1, 2):
        page.slider(key="at").set_value(number).run()
        (curve,) = page.get("vega_lite_chart")
        assert f"slice {number} marked" in str(curve.proto)


def test_the_caption_says_how_gray_levels_came_about(page, slices, phantoms):
    upload(page, ("one.png", slices[0]))
    assert "gray levels as in the file" in said(page)
    page.file_uploader[0].clear()
    upload(page, ("deep.png", encode(phantoms[0].astype(np.uint16) * 200 + 5000, "PNG")))
    assert "values stretched to gray levels" in said(page)


def test_a_window_for_viewing_is_offered_for_hu_only_and_says_so(page, dicom, slices):
    upload(page, ("slice", dicom))
    page.segmented_control(key="view").set_value("Bone").run()
    assert "viewing only" in said(page)
    with pytest.raises(KeyError):
        upload(open_page(), ("a.png", slices[0])) \
            .segmented_control(key="view")  # fmt: skip


def test_no_patient_tag_is_shown_unless_asked(page, dicom):
    upload(page, ("slice", dicom))
    assert "PHANTOM" not in said(page)
    assert not page.dataframe
    page.toggle(key="tags").set_value(True).run()
    assert "PHANTOM^SYNTHETIC" in list(page.dataframe[0].value["value"])
