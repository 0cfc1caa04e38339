"""The page's logic, with the real pipeline in this process instead of a server."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from lungct import NOTICE
from lungct_client import ServerDown, ServerError, TokenError
from lungct_tools import TOOLS
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import encode_dicom
from tests.support.desk import Desk
from tests.support.pictures import encode

LAYOUT = str(TOOLS / "page" / "layout.py")
READY = {"live": True, "ready": True, "reason": None, "workers": [{}], "version": "1.0", "engine": "torch-cpu-float32"}
DOWN = {"live": False, "ready": False, "reason": "No server", "workers": []}


@pytest.fixture
def desk(pipeline, monkeypatch):
    found = Desk(pipeline)
    found.state = READY
    monkeypatch.setattr("lungct_tools.page.study.connect", lambda server: found)
    monkeypatch.setattr("lungct_tools.server.status.describe", lambda instance: found.state)
    return found


@pytest.fixture
def page(desk):
    return AppTest.from_file(LAYOUT, default_timeout=120).run()


@pytest.fixture(scope="module")
def dicom():
    return encode_dicom(draw_slice(3, "spiculated", 256))


def upload(page, *files):
    for name, body in files:
        page.file_uploader[0].upload(name, body)
    return press(page.run(), "Analyze")


def press(page, label):
    next(button for button in page.button if label in button.label).click()
    page.run()
    assert not page.exception
    return page


def said(page):
    """Everything that the page says."""
    kinds = ("html", "markdown", "caption", "error", "warning", "info")
    return " ".join(element.body if kind == "html" else element.value for kind in kinds for element in page.get(kind))


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
        assert f"{name}</span>" in text
        assert f"<em>{share:.1%}</em>" in text
    mapped = max(reply["probabilities"], key=lambda name: np.max(reply["heatmap"]["grids"][name]))
    page.segmented_control(key="map_of").set_value(mapped).run()
    assert f"high importance for {mapped}" in said(page)
    assert "no outline" in said(page)


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
    page = AppTest.from_file(LAYOUT, default_timeout=120).run()
    assert "Not running. Start it with <code>make serve</code>" in said(page)
    st.cache_data.clear()


def test_many_files_become_a_table_and_the_most_suspicious_slice_is_shown_first(page, desk, slices):
    upload(page, *((f"slice{number}.png", body) for number, body in enumerate(slices, 1)), ("bad.txt", b"junk"))
    table = page.dataframe[0].value
    assert list(table["file"]) == ["bad.txt", "slice1.png", "slice2.png", "slice3.png", "slice4.png"]
    assert list(table["decision"])[0] == "refused"
    shares = [desk.predict(body)["probabilities"]["Malignant"] for body in slices]
    assert page.slider(key="at").value == shares.index(max(shares)) + 2
    page.slider(key="at").set_value(2).run()
    assert "slice1.png" in said(page)
    press(page, "Next")
    assert page.slider(key="at").value == 3


def test_a_zip_is_unpacked_and_counted(page, slices):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number, body in enumerate(slices[:3]):
            archive.writestr(f"scan/{number}.png", body)
        archive.writestr("__MACOSX/._0.png", b"noise")
    upload(page, ("scan.zip", stream.getvalue()))
    assert list(page.dataframe[0].value["file"]) == ["scan/0.png", "scan/1.png", "scan/2.png"]


def test_a_file_name_that_markdown_would_fetch_a_picture_for_stays_text(page, slices):
    names = ["![x](http://tracker.example/1.png)", "![x](http://tracker.example/2.png)"]
    upload(page, (names[0], slices[0]), (names[1], b"junk"))
    assert list(page.dataframe[0].value["file"]) == names
    for number in (1, 2):
        page.slider(key="at").set_value(number).run()
        assert f"tracker.example/{number}" in said(page)
        assert "![" not in said(page)


def test_the_caption_says_how_gray_levels_came_about(page, slices, phantoms):
    upload(page, ("one.png", slices[0]))
    assert "gray levels as in the file" in said(page)
    page.file_uploader[0].clear()
    upload(page, ("deep.png", encode(phantoms[0].astype(np.uint16) * 200 + 5000, "PNG")))
    assert "values stretched to gray levels" in said(page)


def test_results_of_other_files_are_not_mistaken_for_those_of_new_ones(page, slices):
    upload(page, ("one.png", slices[0]))
    assert "have changed" not in said(page)
    page.file_uploader[0].upload("two.png", slices[1])
    page.run()
    assert "The files above have changed" in said(page)
    press(page, "Analyze")
    assert "have changed" not in said(page)


def test_the_next_patients_slice_of_the_same_name_does_not_get_the_last_ones_answer(page, slices):
    upload(page, ("IM0001", slices[0]))
    page.file_uploader[0].clear()
    page.file_uploader[0].upload("IM0001", slices[1])
    page.run()
    assert "The files above have changed" in said(page)
    assert "Confidence" not in said(page)
    page.file_uploader[0].clear()
    page.file_uploader[0].upload("IM0001", slices[0])
    page.run()
    assert "Confidence" in said(page)  # the same slice again has its answer at once
    page.file_uploader[0].clear()
    page.run()
    assert "Confidence" not in said(page)


def test_two_uploads_of_one_name_are_told_apart(page, slices):
    upload(page, ("IM0001", slices[0]), ("IM0001", slices[1]))
    marks = [hashlib.sha256(body).hexdigest()[:8] for body in slices[:2]]
    assert sorted(page.dataframe[0].value["file"]) == sorted(f"IM0001 ({mark})" for mark in marks)


def test_the_header_of_the_next_patient_is_not_shown_because_the_last_ones_was(page, dicom):
    upload(page, ("slice", dicom))
    page.toggle(key="tags").set_value(True).run()
    page.file_uploader[0].clear()
    upload(page, ("slice", encode_dicom(draw_slice(4, "none", 256))))
    assert not page.toggle(key="tags").value
    assert not page.dataframe


def test_a_series_has_the_verdict_of_a_scored_folder_and_tells_its_copies(page, slices):
    copies = [(f"copy{number}.png", slices[0]) for number in range(2)]
    upload(page, *((f"slice{number}.png", body) for number, body in enumerate(slices)), *copies, ("bad.txt", b"junk"))
    assert "4 of 5 slices scored" in said(page)
    assert "2 copies" in said(page)
    page.file_uploader[0].clear()
    upload(page, ("slice.png", slices[0]), ("bad.txt", b"junk"))
    assert "Not assessable, refer: 1 of 2 slices scored" in said(page)


def test_a_window_for_viewing_is_offered_for_hu_only_and_says_so(page, dicom, slices):
    upload(page, ("slice", dicom))
    page.segmented_control(key="view").set_value("Bone").run()
    assert "viewing only" in said(page)
    with pytest.raises(KeyError):
        upload(AppTest.from_file(LAYOUT, default_timeout=120).run(), ("a.png", slices[0])) \
            .segmented_control(key="view")  # fmt: skip


def test_no_patient_tag_is_shown_unless_asked(page, dicom):
    upload(page, ("slice", dicom))
    assert "PHANTOM" not in said(page)
    assert not page.dataframe
    page.toggle(key="tags").set_value(True).run()
    assert "PHANTOM^SYNTHETIC" in list(page.dataframe[0].value["value"])
